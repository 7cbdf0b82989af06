"""Storage SCP over real associations: instances are kept as sent, indexed and answered."""

import io
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import cast

import pytest
from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    generate_uid,
)
from pynetdicom import AE
from sqlalchemy import select

from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.resources import Resources
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.synthetic.phantom.syntaxes import transcoded
from storage.database.schema import Instance, Series
from storage.database.watch_tables import SeriesEquipment
from storage.files.folder import StorageFolder
from storage.overview import overview
from tests.support.reception import (
    Reception,
    indexing,
    kept_files,
    open_resources,
    running_receiver,
)

pytestmark = pytest.mark.database

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-lossless": JPEGLossless,
    "jls": JPEGLSLossless,
    "j2k": JPEG2000Lossless,
}


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return open_resources(tmp_path)


@pytest.fixture
def running(resources: Resources) -> Iterator[Reception]:
    with running_receiver(resources, callers=["SCANNER"]) as reception:
        yield reception


@pytest.fixture(scope="module")
def slices() -> list[Dataset]:
    return phantom_datasets(make_phantom(PhantomSpec(slices=3, size=64)), seed=3)


def send(
    address: tuple[str, int],
    datasets: list[Dataset],
    *,
    calling: str = "SCANNER",
    priority: int = 0,
) -> list[int]:
    ae = AE(calling)
    for ds in datasets:
        ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    assoc = ae.associate(*address, ae_title="AINODE")
    if not assoc.is_established:
        return []
    with reactor_paused(assoc):  # its own thread would swallow an answer now and then
        answers = [assoc.send_c_store(ds, priority=priority) for ds in datasets]
    assoc.release()
    return [cast(int, answer.Status) for answer in answers]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_transfer_syntax_is_kept_as_sent(
    running: Reception, slices: list[Dataset], syntax: str
) -> None:
    sent = transcoded(slices[0], syntax)

    assert send(running.address, [sent]) == [0x0000]

    (row,) = running.instances()
    kept = dcmread(running.resources.folder.locate(row.path))
    assert kept.file_meta.TransferSyntaxUID == SYNTAXES[syntax] == row.transfer_syntax_uid
    assert kept.file_meta.SourceApplicationEntityTitle == "SCANNER"
    assert kept.PixelData == sent.PixelData
    assert row.series_instance_uid == sent.SeriesInstanceUID


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    ("priority", "ordered", "urgent"),
    [(0, "", False), (2, "ROUTINE", False), (1, "", True), (2, "STAT", True), (0, "high ", True)],
)
def test_urgent_is_what_its_sender_or_its_order_says(
    resources: Resources,
    slices: list[Dataset],
    priority: int,
    ordered: str,
    urgent: bool,
    fast: bool,
) -> None:
    ds = deepcopy(slices[0])
    with disable_value_validation():
        ds.RequestedProcedurePriority = ordered

    with running_receiver(resources, fast=fast) as reception:
        assert send(reception.address, [ds], priority=priority) == [0x0000]

    with resources.sessions() as session:
        assert session.scalars(select(Series)).one().urgent is urgent


def test_series_grow_over_associations(running: Reception, slices: list[Dataset]) -> None:
    for ds in slices:
        send(running.address, [ds])

    (series,) = running.overview().series

    assert (series.instances, series.generation, series.state) == (3, 1, "receiving")


def test_the_same_instance_again_is_success_and_no_work(
    running: Reception, slices: list[Dataset]
) -> None:
    assert send(running.address, [slices[0], slices[0]]) == [0x0000, 0x0000]
    assert send(running.address, [slices[0]]) == [0x0000]

    (series,) = running.overview().series

    assert series.instances == 1


def test_other_classes_are_refused_and_shown(running: Reception) -> None:
    ae = AE("SCANNER")
    ae.add_requested_context(MRImageStorage)
    ae.add_requested_context(CTImageStorage)
    assoc = ae.associate(*running.address, ae_title="AINODE")
    assert [c.abstract_syntax for c in assoc.rejected_contexts] == [MRImageStorage]
    assoc.release()

    (refusal,) = running.overview().refusals

    assert (refusal.calling_ae, refusal.what) == ("SCANNER", "MR Image Storage")


def test_callers_outside_the_list_are_rejected_and_shown(
    running: Reception, slices: list[Dataset]
) -> None:
    assert send(running.address, slices, calling="STRANGER") == []

    (refusal,) = running.overview().refusals

    assert (refusal.calling_ae, refusal.what) == ("STRANGER", "association")


def test_what_belongs_to_no_series_is_quarantined(
    running: Reception, slices: list[Dataset]
) -> None:
    ds = dcmread(io.BytesIO(part10(slices[0])))
    del ds.SeriesInstanceUID

    assert send(running.address, [ds, slices[1]]) == [0xC000, 0x0000]

    current = running.overview()
    (line,) = current.quarantine
    assert "SeriesInstanceUID" in line.reason
    assert running.resources.folder.locate(line.path).is_file()
    assert [series.instances for series in current.series] == [1]


def test_odd_identifiers_are_taken(running: Reception, slices: list[Dataset]) -> None:
    ds = dcmread(io.BytesIO(part10(slices[0])))
    with disable_value_validation():
        ds.StudyInstanceUID = "0e4b6f5e-2f4e-4c80-9a3b-0b2a8d1c9f10"  # seen in real archives
        ds.SeriesInstanceUID = "7a1b6f5e-2f4e-4c80-9a3b-0b2a8d1c9f11"
        ds.StudyDate = ds.SeriesNumber = None
        assert send(running.address, [ds]) == [0x0000]

    assert running.overview().series[0].series_instance_uid == ds.SeriesInstanceUID


@pytest.mark.parametrize(
    ("caller", "statuses"), [("SCANNER@127.0.0.0/8", [0x0000]), ("SCANNER@192.0.2.0/24", [])]
)
def test_a_caller_may_be_held_to_its_addresses(
    resources: Resources, slices: list[Dataset], caller: str, statuses: list[int]
) -> None:
    with running_receiver(resources, callers=[caller]) as reception:
        assert send(reception.address, slices[:1]) == statuses


def test_too_little_room_is_out_of_resources_until_there_is_room_again(
    tmp_path: Path, slices: list[Dataset]
) -> None:
    room = 999
    folder = StorageFolder(tmp_path, 1000, free=lambda _: room)
    with running_receiver(open_resources(tmp_path, storage=folder)) as reception:
        assert send(reception.address, slices[:2]) == [0xA700, 0xA700]
        assert kept_files(folder) == []

        room = 2**30
        assert send(reception.address, slices[:2]) == [0x0000, 0x0000]

    assert len(kept_files(folder)) == 2


def test_what_cannot_be_written_is_refused_and_shown(
    running: Reception, slices: list[Dataset]
) -> None:
    (running.resources.folder.root / "tmp").rmdir()  # a folder that may not be written fails alike

    assert send(running.address, slices[:2]) == [0x0110, 0x0110]

    (refused,) = running.overview().refusals
    assert (refused.calling_ae, refused.what, refused.count) == ("SCANNER", "an instance", 2)
    assert refused.reason == "cannot be kept: FileNotFoundError"


def test_a_lost_index_is_rebuilt_from_the_files(running: Reception, slices: list[Dataset]) -> None:
    send(running.address, slices)
    running.index.stop()
    with running.resources.sessions.begin() as session:  # as if the node had been killed before it
        session.query(Instance).delete()
        session.query(SeriesEquipment).delete()
        session.query(Series).delete()

    with indexing(running.resources) as index:
        assert InstanceIngest(running.resources, index).scan() == 3

    with running.resources.sessions() as session:
        (series,) = overview(session).series
    assert (series.instances, series.calling_ae) == (3, "SCANNER")


def test_what_a_crash_left_that_nobody_can_read_is_quarantined_and_shown(
    running: Reception, slices: list[Dataset]
) -> None:
    send(running.address, slices)
    running.index.stop()
    poison = running.resources.folder.root / "incoming" / "00" / f"x-{'0' * 64}.dcm"
    poison.write_bytes(b"\0" * 128 + b"DICM" + b"nonsense")

    with indexing(running.resources) as index:
        assert InstanceIngest(running.resources, index).scan() == 1

    assert not poison.exists()
    with running.resources.sessions() as session:
        current = overview(session)
    assert [line.path for line in current.quarantine] == [f"quarantine/{poison.name}"]
    assert [line.instances for line in current.series] == [3], "the others are not touched"


def test_a_scan_finds_nothing_new_when_all_is_indexed(
    running: Reception, slices: list[Dataset]
) -> None:
    send(running.address, slices)
    running.index.stop()

    index = IndexWriter(running.resources.sessions)
    assert InstanceIngest(running.resources, index).scan() == 0


def part10(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_unique_ids_are_never_file_names(running: Reception, slices: list[Dataset]) -> None:
    ds = dcmread(io.BytesIO(part10(slices[0])))
    ds.SOPInstanceUID = generate_uid()
    send(running.address, [ds])

    (row,) = running.instances()

    assert ds.SOPInstanceUID not in row.path
