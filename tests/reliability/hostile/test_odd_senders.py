"""Senders that pause, divide, mix and correct their series: every series is complete."""

from __future__ import annotations

import resource
import time

import pytest
from pydicom import Dataset
from pynetdicom import AE
from sqlalchemy import select

from dicom_node.network.status_codes import SUCCESS
from pipeline.synthetic.phantom.dicom import phantom_uid
from storage.database.schema import Series
from storage.overview import overview
from tests.reliability.odd.node import (
    answer,
    association,
    close_quiet,
    ends,
    lost,
    message,
    send,
    store_all,
)
from tests.reliability.odd.series import ANALYSED, SLICES, series
from tests.reliability.receiving import running
from tests.reliability.tally import Tally, times
from tests.support.dispatcher_samples import AnsweringWorkers
from tests.support.peers.wire_client import CT
from tests.support.reception import Reception
from tests.support.samples.phantom_odd import with_values

__all__ = ["running"]  # a fixture
PRIVATE_SYNTAX = "1.2.840.113619.5.2"  #: GE: implicit VR, big-endian pixels
MEMORY_BYTES = 400 << 20  #: more than this a long series must not take
SECONDS = 300.0  #: nor more than this
pytestmark = pytest.mark.slow


def generation(running: Reception) -> int:
    with running.resources.sessions() as session:
        return session.scalars(select(Series.generation)).one()


def test_pauses_longer_than_the_quiet_time_within_an_association(running: Reception) -> None:
    """The first part is analysed and refused; what comes later opens the series again."""
    messages = [message(ds) for ds in series()]
    with association(running) as client:
        statuses = store_all(client, messages[:10])
        early = ends(running)
        statuses += store_all(client, messages[10:30])
        close_quiet(running)  # and is not analysed before the rest comes
        statuses += store_all(client, messages[30:])

    assert [end[:26] for end in early.values()] == ["unsuitable: too-few-slices"]
    assert list(ends(running).values()) == [ANALYSED]
    assert lost(running, messages, statuses) == []
    assert generation(running) == 3


def test_a_series_over_many_associations_and_in_pieces(running: Reception) -> None:
    messages = [message(ds) for ds in series()]
    statuses = [send(running, [message])[0] for message in messages]

    assert list(ends(running).values()) == [ANALYSED]
    assert lost(running, messages, statuses) == []
    assert generation(running) == 1


def test_studies_taken_in_turns_in_one_association(running: Reception) -> None:
    studies = [of_another_study(number) for number in range(3)]
    messages = [message(ds) for slices in zip(*studies, strict=True) for ds in slices]

    statuses = send(running, messages)

    assert lost(running, messages, statuses) == []
    workers = AnsweringWorkers(answer)
    workers.slots = 3
    assert ends(running, workers) == {f"1.2.3.{number}": ANALYSED for number in range(3)}
    assert [len(request.files) for request in workers.requests] == [SLICES] * 3


def of_another_study(number: int) -> list[Dataset]:
    changed = with_values(
        series(), StudyInstanceUID=f"1.2.4.{number}", SeriesInstanceUID=f"1.2.3.{number}"
    )
    for place, ds in enumerate(changed):
        ds.SOPInstanceUID = phantom_uid(5, number, place)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return changed


def test_corrected_instances_are_analysed_and_the_first_ones_kept(running: Reception) -> None:
    first = [message(ds) for ds in series()]
    corrected = [message(ds) for ds in with_values(series()[:2], ImageComments="corrected")]
    statuses = send(running, first)
    assert list(ends(running).values()) == [ANALYSED]

    statuses += send(running, corrected)
    workers = AnsweringWorkers(answer)

    assert list(ends(running, workers).values()) == [ANALYSED]
    (request,) = workers.requests
    files = {file.sop_instance_uid: file.path.read_bytes() for file in request.files}
    assert all(files[message.uid].endswith(message.body) for message in [*corrected, *first[2:]])
    assert lost(running, [*first, *corrected], statuses) == []
    assert generation(running) == 2


def test_a_private_transfer_syntax_is_refused_and_shown(running: Reception) -> None:
    ae = AE("SCANNER")
    ae.add_requested_context(CT, [PRIVATE_SYNTAX, "1.2.3.4.5"])
    assoc = ae.associate(*running.address, ae_title="AINODE")
    assert assoc.accepted_contexts == []

    assert send(running, [message(series()[0])]) == [SUCCESS]
    running.index.wait_until_written()
    with running.resources.sessions() as session:
        (refusal,) = overview(session).refusals
    assert (refusal.what, refusal.reason) == ("CT Image Storage", "transfer syntax not supported")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("count", "size", "spacing_mm"), times([(1200, 32, 0.15)], [(4000, 32, 0.15), (1000, 64, 0.4)])
)
def test_a_series_of_thousands(
    running: Reception, tally: Tally, count: int, size: int, spacing_mm: float
) -> None:
    messages = [message(ds) for ds in tall(count, size, spacing_mm)]
    memory, start = peak_bytes(), time.monotonic()

    statuses = send(running, messages)
    assert lost(running, messages, statuses) == []
    assert list(ends(running).values()) == [ANALYSED]

    assert time.monotonic() - start < SECONDS
    assert peak_bytes() - memory < MEMORY_BYTES
    tally.note(
        f"a series of very many slices of {size} x {size}",
        f"{count:,} instances over one association",
        f"every one kept and in its place, with less than {MEMORY_BYTES >> 20} MiB more",
    )


def peak_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def tall(count: int, size: int, spacing_mm: float) -> list[Dataset]:
    """The slices of the phantom over and over, each a little higher."""
    base = [grown(ds, size) for ds in series()]
    slices = []
    for place in range(count):
        (ds,) = with_values(
            base[place % SLICES : place % SLICES + 1],
            SOPInstanceUID=phantom_uid(6, place),
            ImagePositionPatient=[-180, -180, round(place * spacing_mm, 3)],
            ImagesInAcquisition=count,
        )
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        slices.append(ds)
    return slices


def grown(ds: Dataset, size: int) -> Dataset:
    """Repeat pixels until the image has this size."""
    times = size // ds.Rows
    pixels = ds.pixel_array.repeat(times, 0).repeat(times, 1).tobytes()
    return with_values([ds], Rows=size, Columns=size, PixelData=pixels)[0]
