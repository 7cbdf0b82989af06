"""Images of work items are fetched from an archive by C-MOVE, and never without need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicom_node.worklist.input_fetch import PART, InputFetcher
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.delivery.work_items import WorkItemInput
from tests.support.peers.stand_in_archive import StandInArchive
from tests.support.reception import Reception, open_resources, running_receiver

SPEC = PhantomSpec(slices=3, lesions=0)


@dataclass
class Place:
    """A node that receives, an archive that holds a series, and what fetches."""

    reception: Reception
    archive: StandInArchive
    series: WorkItemInput
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.fetcher = InputFetcher(
            resources=self.reception.resources,
            archive=self.archive.peer,
            ae_title="AINODE",
            steady=lambda: self.seconds,
        )

    def fetch(self) -> None:
        self.fetcher.fetch(self.series)
        self.reception.index.wait_until_written()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    held = phantom_datasets(make_phantom(SPEC), seed=1)
    series = WorkItemInput(
        study_instance_uid=str(held[0].StudyInstanceUID),
        series_instance_uid=str(held[0].SeriesInstanceUID),
        named=tuple(str(ds.SOPInstanceUID) for ds in held),
    )
    with (
        running_receiver(open_resources(tmp_path)) as reception,
        StandInArchive(held, mover=("127.0.0.1", reception.address[1])) as archive,
    ):
        yield Place(reception, archive, series)


def test_a_series_that_is_not_here_is_fetched_once(place: Place) -> None:
    place.fetch()
    place.seconds = 3600.0
    place.fetch()

    (line,) = place.reception.overview().series
    assert line.instances == 3
    assert place.archive.asked == ["MOVE"]
    assert place.reception.resources.health.snapshot() == ()


def test_an_archive_that_does_not_send_is_a_fault_and_asked_again_later(place: Place) -> None:
    place.archive.mover = None
    place.fetch()
    place.fetch()
    (fault,) = place.reception.resources.health.snapshot()
    assert (fault.part, place.archive.asked) == (PART, ["MOVE"])
    place.archive.mover = place.reception.address
    place.seconds = 11.0
    place.fetch()

    assert place.archive.asked == ["MOVE", "MOVE"]
    assert place.reception.resources.health.snapshot() == ()
    assert len(place.reception.overview().series) == 1
