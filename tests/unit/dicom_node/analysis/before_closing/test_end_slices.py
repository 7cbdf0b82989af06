"""Workers look at end slices while nobody waits, and what they cannot see proves nothing."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicom_node.analysis.before_closing.end_slices import TIMEOUT_SECONDS, EndSlices
from dicom_node.analysis.worker.ends_task import look_at_ends
from dicom_node.analysis.worker.messages import EndsRequest, EndsSeen, SourceFile
from dicom_node.errors import AnalysisFault, EngineAway, EngineLost, NoWorker
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.errors import ObjectsAway
from storage.files.folder import StorageFolder
from storage.series.lifecycle import OpenSeries
from tests.support.dispatcher_samples import Job, Never, Workers

SERIES = OpenSeries(
    series_instance_uid="9",
    generation=1,
    instances=5,
    calling_ae="CT1",
    last_at=datetime(2026, 3, 1, tzinfo=UTC),
)
WOKEN: list[bool] = [True]  #: emptied when somebody is woken
PATHS = ("a.dcm", "b.dcm", "c.dcm")


class Away(Workers):
    """No worker is fit, until there is an answer."""

    def submit(self, *arguments: object, **options: object) -> Job:
        if not self.answers:
            raise NoWorker("none")
        return super().submit(*arguments, **options)  # type: ignore[arg-type]  # handed on


class FolderWithoutBucket(StorageFolder):
    """What is located is in a bucket that is away, until it is not."""

    is_away = True

    def locate(self, path: str) -> Path:
        if self.is_away:
            raise ObjectsAway("no route")
        return super().locate(path)


def look(ends: EndSlices) -> bool | None:
    """Look as a closer does, who tends before."""
    ends.tend()
    return ends.look(SERIES, PATHS)


def looking(tmp_path: Path, workers: Workers) -> EndSlices:
    folder = StorageFolder(tmp_path, 0)
    return EndSlices(workers, folder, WOKEN.clear, steady=lambda: TIMEOUT_SECONDS + 1)


def test_a_look_waits_for_a_bucket_that_is_away(tmp_path: Path) -> None:
    workers = Workers(EndsSeen(outside=True))
    folder = FolderWithoutBucket(tmp_path, 0)
    ends = EndSlices(workers, folder)
    assert look(ends) is None
    assert workers.requests == []
    folder.is_away = False
    look(ends)
    assert look(ends) is True


def test_whoever_can_wait_makes_way_before_a_look(tmp_path: Path) -> None:
    workers, asked = Workers(EndsSeen(outside=True)), list[int]()
    ends = looking(tmp_path, workers)
    ends.make_way = lambda: asked.append(len(workers.requests))

    look(ends)
    look(ends)

    assert asked == [0]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (EndsSeen(outside=True), True),
        (EndsSeen(outside=False), False),
        (EngineLost("its worker died"), False),
        (AnalysisFault("ValueError", "", of_the_data=True), False),
        (ImportError("the answer cannot be unpickled here"), False),
    ],
)
def test_what_was_seen_is_remembered(tmp_path: Path, answer: object, expected: bool) -> None:
    workers = Workers(answer)
    ends = looking(tmp_path, workers)

    first, then = look(ends), look(ends)

    assert (first, then, WOKEN) == (None, expected, [])
    assert look(ends) is expected
    assert len(workers.requests) == 1


def test_while_the_engine_is_away_nothing_is_known_and_it_is_asked_again(tmp_path: Path) -> None:
    workers = Away()
    ends = looking(tmp_path, workers)
    assert look(ends) is None
    workers.answers = [EngineAway("lost"), EndsSeen(outside=True)]
    assert [look(ends) for _ in range(3)] == [None, None, True]


def test_a_look_that_hangs_is_ended_with_its_worker(tmp_path: Path) -> None:
    never = Never(None)
    workers = Workers(never)
    ends = looking(tmp_path, workers)

    assert look(ends) is None
    ends.tend()  # its series is closed by now: nobody looks again
    assert workers.ended == [never]
    assert ends.look(SERIES, PATHS) is False


def test_a_fault_names_the_series_that_was_looked_at(tmp_path: Path) -> None:
    ends = looking(tmp_path, Workers(EngineLost("its worker died")))
    ends.look(replace(SERIES, series_instance_uid="11"), PATHS)
    with capture_logs() as lines:
        look(ends)
    assert [(line["event"], line["series_uid"]) for line in lines] == [("ends_not_seen", "11")]


def request(folder: Path, names: list[str]) -> EndsRequest:
    return EndsRequest(
        files=tuple(
            SourceFile(path=folder / name, sop_instance_uid="", digest="") for name in names
        )
    )


def test_a_worker_sees_lung_on_an_end_slice(tmp_path: Path) -> None:
    phantom = make_phantom(PhantomSpec(slices=24, size=128, spacing_mm=12, lesions=0))
    write_series(phantom_datasets(phantom, seed=3), tmp_path)
    files = sorted(path.name for path in tmp_path.iterdir())
    middle = len(files) // 2

    assert not look_at_ends(request(tmp_path, files[middle - 2 : middle + 3])).outside


def test_what_cannot_be_read_is_not_outside(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"no data set" * 100)

    assert not look_at_ends(request(tmp_path, ["odd"] * 3)).outside
