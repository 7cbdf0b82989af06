"""Workers that see no folder of the node fetch what they need, over the link: real ones of Dask."""

from __future__ import annotations

import os
import random
import resource
import signal
import threading
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path, PosixPath
from typing import IO, Any

import pytest

from dicom_node.analysis.engine.compute_engine import ComputeEngine, EnginePaces
from dicom_node.analysis.engine.connection import EngineAddress, connect
from dicom_node.analysis.engine.task import Task
from dicom_node.analysis.engine.worker_records import Pace
from dicom_node.analysis.fetch.access import FETCH_FOLDER
from dicom_node.analysis.fetch.private_folder import OF_A_TASK
from dicom_node.analysis.fetch.stream import BLOCK_BYTES
from dicom_node.analysis.worker.messages import EndsRequest, SourceFile
from dicom_node.errors import AlteredFile, EngineAway, EngineLost, NotFetched
from dicom_node.health import Health
from tests.support.fleet import Fleet, tend_until
from tests.support.fleet_tasks import FoundFiles, find_files, names_of_queues, prove

pytestmark = pytest.mark.slow

QUICK = Pace(first_seconds=0.2, longest_seconds=1)
LONG = Pace(first_seconds=3600, longest_seconds=3600)
HALF_WAY = random.Random(3).randbytes(BLOCK_BYTES)  #: a first file, which fills a block


class Stuck(PosixPath):
    """A file of the node that cannot be opened for the time being; a plain path elsewhere."""

    may_open = threading.Event()

    def open(self, *arguments: Any, **named: Any) -> IO[Any]:  # type: ignore[override]  # noqa: ANN401  # handed on
        self.may_open.wait(60)
        return super().open(*arguments, **named)

    def __reduce__(self) -> tuple[Any, ...]:
        return PosixPath, (str(self),)


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    (tmp_path / "fetched").mkdir(mode=0o700)
    fleet.start_scheduler()
    yield fleet
    fleet.stop()


@pytest.fixture
def engine(fleet: Fleet, health: Health) -> Iterator[ComputeEngine]:
    running = ComputeEngine(
        partial(connect, EngineAddress(scheduler=fleet.address)),
        prove,
        health,
        renewed=False,
        paces=EnginePaces(reconnect=QUICK, rest=LONG),
    )
    yield running
    Stuck.may_open.set()
    running.close()


def start(fleet: Fleet, name: str) -> None:
    """Start a worker that fetches."""
    fleet.start_worker(name, **{FETCH_FOLDER: str(fleet.folder / "fetched")})


def source(path: Path, content: bytes, digest: str = "") -> SourceFile:
    path.parent.mkdir(exist_ok=True)
    Path(path).write_bytes(content)
    return SourceFile(path=path, sop_instance_uid="1", digest=digest or sha256(content).hexdigest())


def left_over(fleet: Fleet) -> list[Path]:
    return list((fleet.folder / "fetched").glob(f"{OF_A_TASK}*"))


def has_no_queue(engine: ComputeEngine) -> bool:
    connection = engine._connection  # what the scheduler holds is asked by it
    return connection is not None and not connection.client.run_on_scheduler(names_of_queues)


def stuck_half_way(
    fleet: Fleet, engine: ComputeEngine, folder: Path
) -> tuple[Task[FoundFiles], EndsRequest]:
    """Begin a task that has its first file, and waits for the second."""
    Stuck.may_open.clear()
    files = (source(folder / "1.dcm", HALF_WAY), source(Stuck(folder / "2.dcm"), b"second"))
    request = EndsRequest(files=files)
    task: Task[FoundFiles] = engine.submit(find_files, request)

    def has_the_first() -> bool:
        return any((one / "000001").exists() for one in left_over(fleet))

    tend_until(engine, has_the_first)
    return task, request


def test_files_are_fetched_checked_and_gone_after_the_task(
    fleet: Fleet, engine: ComputeEngine, health: Health, tmp_path: Path
) -> None:
    start(fleet, "one")
    fleet.start_worker("sees them")
    tend_until(engine, lambda: engine.slots == 2, health)
    noise = random.Random(4)
    contents = [noise.randbytes(size) for size in (3 * BLOCK_BYTES, 5, 600_000, BLOCK_BYTES)]
    files = tuple(source(tmp_path / "data" / f"{n}.dcm", one) for n, one in enumerate(contents))

    tasks = [engine.submit(find_files, EndsRequest(files=files)) for _ in range(6)]
    found = {task.result(60).worker: task.result(60) for task in tasks}

    assert set(found) == {"one", "sees them"}
    for one in found.values():
        assert one.digests == tuple(file.digest for file in files)
    assert found["sees them"].paths == tuple(file.path for file in files)
    fetched = found["one"]
    assert fetched.mode == 0o700
    assert {path.parent.parent for path in fetched.paths} == {tmp_path / "fetched"}
    assert [path.name for path in fetched.paths] == ["000000", "000001", "000002", "000003"]
    assert left_over(fleet) == []
    tend_until(engine, lambda: has_no_queue(engine))


@pytest.mark.long
def test_a_file_that_is_gone_or_altered_fails_its_task_alone(
    fleet: Fleet, engine: ComputeEngine, health: Health, tmp_path: Path
) -> None:
    start(fleet, "one")
    fleet.start_worker("sees them")
    tend_until(engine, lambda: engine.slots == 2, health)
    good = EndsRequest(files=(source(tmp_path / "data" / "1.dcm", HALF_WAY),))
    done = [engine.submit(find_files, good) for _ in range(4)]
    assert {task.result(60).worker for task in done} == {"one", "sees them"}
    gone = fleet.workers.pop("sees them")
    gone.terminate()  # what it came to is made once more: its tasks have ended, and ask in vain
    gone.wait(30)
    tend_until(engine, lambda: engine.slots == 1, health)

    missing = EndsRequest(files=(source(tmp_path / "data" / "2.dcm", b""),))
    missing.files[0].path.unlink()
    altered = EndsRequest(files=(source(tmp_path / "data" / "3.dcm", b"altered", "0" * 64),))
    with pytest.raises(FileNotFoundError):
        engine.submit(find_files, missing).result(60)
    with pytest.raises(AlteredFile, match="file 1 of 1 is not what the node keeps"):
        engine.submit(find_files, altered).result(60)
    assert engine.submit(find_files, good).result(60).worker == "one"
    assert left_over(fleet) == []
    tend_until(engine, lambda: has_no_queue(engine))


@pytest.mark.long
def test_a_worker_without_room_is_left_out_and_another_takes_the_task(
    fleet: Fleet, engine: ComputeEngine, health: Health, tmp_path: Path
) -> None:
    start(fleet, "full")
    tend_until(engine, lambda: engine.slots == 1, health)
    request = EndsRequest(files=(source(tmp_path / "data" / "1.dcm", HALF_WAY),))
    process = engine.submit(find_files, request).result(60).process
    resource.prlimit(process, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    with pytest.raises(NotFetched, match="cannot be kept in"):
        engine.submit(find_files, request).result(60)

    tend_until(engine, lambda: engine.slots == 0)
    reasons = {fault.part: fault.reason for fault in health.snapshot()}
    assert "File too large" in reasons["worker full"]
    assert left_over(fleet) == []
    start(fleet, "other")
    tend_until(engine, lambda: engine.slots == 1)
    assert engine.submit(find_files, request).result(60).worker == "other"
    tend_until(engine, lambda: has_no_queue(engine))


@pytest.mark.long
def test_a_worker_killed_half_way_is_lost_and_leaves_nothing(
    fleet: Fleet, engine: ComputeEngine, health: Health, tmp_path: Path
) -> None:
    start(fleet, "one")
    tend_until(engine, lambda: engine.slots == 1, health)
    plain = EndsRequest(files=(source(tmp_path / "data" / "0.dcm", b"plain"),))
    process = engine.submit(find_files, plain).result(60).process
    task, request = stuck_half_way(fleet, engine, tmp_path / "data")

    os.kill(process, signal.SIGKILL)

    with pytest.raises(EngineLost, match="died during the analysis"):
        task.result(60)
    (left,) = left_over(fleet)
    assert (left / "000000").read_bytes() == HALF_WAY
    Stuck.may_open.set()
    tend_until(engine, lambda: engine.slots == 1, health)
    again = engine.submit(find_files, request).result(60)
    assert again.process != process
    assert again.digests == tuple(file.digest for file in request.files)
    assert left_over(fleet) == []
    tend_until(engine, lambda: has_no_queue(engine))


@pytest.mark.long
def test_a_link_that_breaks_half_way_is_no_fault_of_the_series(
    fleet: Fleet, engine: ComputeEngine, health: Health, tmp_path: Path
) -> None:
    start(fleet, "one")
    tend_until(engine, lambda: engine.slots == 1, health)
    task, request = stuck_half_way(fleet, engine, tmp_path / "data")

    fleet.kill_scheduler()

    tend_until(engine, lambda: engine.slots == 0)
    with pytest.raises(EngineAway):
        task.result(60)
    Stuck.may_open.set()
    fleet.start_scheduler()
    start(fleet, "one")
    tend_until(engine, lambda: engine.slots == 1, health)
    assert engine.submit(find_files, request).result(60).worker == "one"
    assert left_over(fleet) == []
