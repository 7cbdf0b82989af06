"""The embedded engine: one worker process, replaced when it is lost."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from dicom_node.analysis.engine import ComputeEngine, Task
from dicom_node.errors import EngineLost

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine() -> Iterator[ComputeEngine]:
    running = ComputeEngine(scheduler="embedded", threads=1, memory_limit_gb=0)
    yield running
    running.close()


def worker_pid(engine: ComputeEngine) -> int:
    """Process number of the one worker, as Dask's client knows it."""
    (pid,) = engine._client.run(os.getpid).values()
    return int(pid)


def surroundings() -> tuple[str | None, str | None]:
    return os.environ.get("OMP_NUM_THREADS"), os.environ.get("OMP_WAIT_POLICY")


def wait_for_ever() -> None:
    threading.Event().wait()


def fail() -> None:
    raise KeyError("a fault of the task itself")


def test_a_task_runs_in_another_process_with_its_surroundings(engine: ComputeEngine) -> None:
    assert engine.slots == 1
    assert engine.submit(os.getpid).result(60) == worker_pid(engine) != os.getpid()
    assert engine.submit(surroundings).result(60) == ("1", "PASSIVE")


def test_a_fault_of_the_task_comes_back_as_it_is(engine: ComputeEngine) -> None:
    with pytest.raises(KeyError, match="fault of the task"):
        engine.submit(fail).result(60)


def test_a_killed_worker_loses_its_task_and_is_replaced(engine: ComputeEngine) -> None:
    done = threading.Event()
    task: Task[None] = engine.submit(wait_for_ever)
    task.when_done(lambda _: done.set())
    os.kill(worker_pid(engine), signal.SIGKILL)

    with pytest.raises(EngineLost):
        task.result(60)

    assert done.wait(10)
    assert engine.submit(os.getpid).result(60)


def test_a_restart_ends_what_hangs(engine: ComputeEngine) -> None:
    task: Task[None] = engine.submit(wait_for_ever)

    engine.restart()

    with pytest.raises(EngineLost):
        task.result(60)
    assert result_after_restart(engine)


def result_after_restart(engine: ComputeEngine) -> int:
    """Have a task run; one that is handed to the worker that is ending is lost, and tried again."""
    try:
        return engine.submit(os.getpid).result(60)
    except EngineLost:
        return engine.submit(os.getpid).result(60)
