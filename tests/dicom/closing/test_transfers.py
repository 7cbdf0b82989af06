"""Associations that send a series are known for as long as they are open, however they end."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.reception.refusals import Refusal
from dicom_node.reception.store_handler import InstanceSink
from dicom_node.reception.stow.instances import store
from dicom_node.reception.stow.multipart import Part
from dicom_node.reception.transfers import MAXIMUM_SERIES, Transfers
from pipeline.encode.bundle import part10
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.series.instances import InstanceFacts
from storage.series.slices import held_slices
from tests.support.node_process import wait_until
from tests.support.reception import indexing, listening, open_resources


@pytest.fixture(scope="module")
def slices() -> list[Dataset]:
    return phantom_datasets(make_phantom(PhantomSpec(slices=3, size=64, lesions=0)), seed=3)


@pytest.fixture(params=["fast", "stock"])
def node(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[tuple[str, int], Transfers]]:
    resources, transfers = open_resources(tmp_path), Transfers()
    with indexing(resources) as index:
        ingest = InstanceIngest(resources, index, transfers)
        with listening(ingest, fast=request.param == "fast") as address:
            yield address, transfers


def opened(address: tuple[str, int], ds: Dataset) -> Association:
    ae = AE("CT1")
    ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    assoc = ae.associate(*address, ae_title="AINODE")
    assert assoc.is_established
    return assoc


@pytest.mark.parametrize("end", ["release", "abort"])
def test_a_series_is_being_sent_until_its_last_association_ends(
    node: tuple[tuple[str, int], Transfers], slices: list[Dataset], end: str
) -> None:
    address, transfers = node
    uid = slices[0].SeriesInstanceUID
    begun: list[InstanceFacts] = []
    transfers.when_begun = begun.append
    first, second = opened(address, slices[0]), opened(address, slices[0])
    assert not transfers.is_open(uid)

    with reactor_paused(first), reactor_paused(second):
        assert first.send_c_store(slices[0]).Status == 0x0000
        assert second.send_c_store(slices[1]).Status == 0x0000
    assert transfers.is_open(uid)
    first.release()
    assert transfers.is_open(uid)
    getattr(second, end)()
    wait_until(lambda: not transfers.is_open(uid), seconds=20, what="the end of the transfer")

    third = opened(address, slices[0])
    assert not transfers.is_open(uid)
    with reactor_paused(third):
        third.send_c_store(slices[2])
    assert transfers.is_open(uid)
    third.release()
    assert transfers.received(uid) == 3
    assert [facts.series_instance_uid for facts in begun] == [uid]


def test_places_of_received_slices_are_recorded(tmp_path: Path, slices: list[Dataset]) -> None:
    resources = open_resources(tmp_path)
    with indexing(resources) as index:
        with listening(InstanceIngest(resources, index)) as address:
            assoc = opened(address, slices[0])
            with reactor_paused(assoc):
                for ds in slices:
                    assoc.send_c_store(ds)
            assoc.release()
        index.wait_until_written()
    with resources.sessions() as session:
        held = held_slices(session, slices[0].SeriesInstanceUID)

    positions = {ds.SOPInstanceUID: float(ds.ImagePositionPatient[2]) for ds in slices}
    numbers = {ds.SOPInstanceUID: int(ds.InstanceNumber) for ds in slices}
    assert {part.sop_instance_uid: part.facts.height_mm for part in held} == positions
    assert {part.sop_instance_uid: part.facts.instance_number for part in held} == numbers
    assert len({part.facts.plane for part in held}) == 1


def test_so_many_series_are_remembered_those_that_are_being_sent() -> None:
    transfers = Transfers()
    facts = InstanceFacts(
        sop_instance_uid="1",
        sop_class_uid="1",
        series_instance_uid="long",
        study_instance_uid="8",
        transfer_syntax_uid="1",
        modality="CT",
        calling_ae="CT1",
        path="1",
        digest="1",
        bytes=1,
    )
    transfers.note(facts, None)
    for number in range(MAXIMUM_SERIES + 10):
        transfers.note(replace(facts, series_instance_uid=str(number)), None)
        if number == MAXIMUM_SERIES // 2:
            transfers.note(facts, None)
    assert transfers.received("0") == 0
    assert transfers.received(str(MAXIMUM_SERIES)) == 1
    assert transfers.received("long") == 2
    assert not transfers.is_open("0")


def test_a_store_request_is_a_transfer_while_it_is_read(slices: list[Dataset]) -> None:
    kept: list[ReceivedInstance] = []

    class Sink(InstanceSink):
        def keep(self, received: ReceivedInstance) -> int:
            assert received.transfer is not None
            assert received.transfer.is_established
            kept.append(received)
            return 0

        def record_refusal(self, refusal: Refusal) -> None:
            raise AssertionError(refusal)

    part = Part(fields={}, body=iter([part10(slices[0])]))
    assert [one.status for one in store([part], Sink(), "")] == [0]
    (instance,) = kept
    assert instance.transfer is not None
    assert not instance.transfer.is_alive()
