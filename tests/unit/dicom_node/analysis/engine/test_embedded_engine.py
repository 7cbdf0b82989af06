"""The embedded engine: one worker process of the node's own, replaced when it is lost."""

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import dask
import pytest

from dicom_node.analysis.engine.compute_engine import ComputeEngine, EnginePaces
from dicom_node.analysis.engine.connection import SURROUNDINGS, EngineAddress, connect
from dicom_node.analysis.engine.task import Task
from dicom_node.analysis.engine.worker_records import Pace
from dicom_node.errors import EngineLost
from dicom_node.health import Health
from tests.support.fleet import tend_until
from tests.support.fleet_tasks import (
    fail,
    hand_over_and_wait,
    hang,
    names_of_queues,
    prove,
    take_word,
    wait_for_word,
    wait_until_waited_for,
)

pytestmark = pytest.mark.slow

QUICK = Pace(first_seconds=0.2, longest_seconds=1)


def surroundings() -> tuple[str | None, str | None]:
    return os.environ.get("OMP_NUM_THREADS"), os.environ.get("OMP_WAIT_POLICY")


@pytest.fixture(scope="module")
def embedded() -> Iterator[ComputeEngine]:
    running = ComputeEngine(
        partial(connect, EngineAddress(threads=1)),
        prove,
        Health(),
        renewed=True,
        paces=EnginePaces(reconnect=QUICK, rest=QUICK),
    )
    yield running
    running.close()


def test_a_task_runs_in_another_process_with_its_surroundings(embedded: ComputeEngine) -> None:
    tend_until(embedded, lambda: embedded.slots == 1)
    assert embedded.submit(os.getpid).result(60) != os.getpid()
    assert embedded.submit(surroundings).result(60) == ("1", "PASSIVE")


def test_a_worker_is_told_a_word_beside_its_task(embedded: ComputeEngine) -> None:
    tend_until(embedded, lambda: embedded.slots == 1)
    task = embedded.submit(wait_for_word)
    tend_until(embedded, lambda: task.started_at is not None)

    embedded.tell(task, take_word, "enough")

    assert task.result(60) == "enough"


def test_a_worker_is_told_a_word_though_nobody_has_heard_that_it_began(
    embedded: ComputeEngine,
) -> None:
    tend_until(embedded, lambda: embedded.slots == 1)
    task = embedded.submit(wait_for_word)
    tend_until(embedded, lambda: task.started_at is not None)
    unheard = Task[str](task.addresses)

    embedded.tell(unheard, take_word, "enough")

    assert task.result(60) == "enough"


def test_a_task_makes_way_by_itself_for_one_of_a_higher_priority(embedded: ComputeEngine) -> None:
    tend_until(embedded, lambda: embedded.slots == 1)
    low = embedded.submit(wait_until_waited_for, priority=-3)
    tend_until(embedded, lambda: low.started_at is not None)
    lower = embedded.submit(os.getpid, priority=-4)
    assert not embedded.has_neighbour(low)

    high = embedded.submit(os.getpid)

    assert low.result(60) == "made way"
    assert high.result(60) == lower.result(60)


def began_with() -> dict[str, str]:
    """Environment as it was when the process began: the C library reads no later one."""
    lines = Path("/proc/self/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if line)


def test_memory_is_kept_from_the_first_moment(embedded: ComputeEngine) -> None:
    tend_until(embedded, lambda: embedded.slots == 1)
    found = embedded.submit(began_with).result(60)

    assert {name: found.get(name) for name in SURROUNDINGS} == dict(SURROUNDINGS)
    assert found["OMP_NUM_THREADS"] == "1"


def is_profiled() -> bool:
    """Say whether Dask samples the stack of this worker."""
    return bool(dask.config.get("distributed.worker.profile.enabled"))


def test_dask_does_not_sample_the_stack_of_what_it_runs(embedded: ComputeEngine) -> None:
    tend_until(embedded, lambda: embedded.slots == 1)

    assert embedded.submit(is_profiled).result(60) is False


def test_no_page_answers(embedded: ComputeEngine) -> None:
    tend_until(embedded, lambda: embedded.slots == 1)
    assert embedded._connection is not None
    facts = embedded._connection.client.scheduler_info()
    ports = [facts["services"]["dashboard"]]
    ports += [worker["services"]["dashboard"] for worker in facts["workers"].values()]
    for port in ports:
        for page in (
            "",
            "status",
            "info/main/workers.html",
            "health",
            "metrics",
            "json/counts.json",
        ):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10)


def test_a_fault_of_the_task_comes_back_as_it_is(embedded: ComputeEngine) -> None:
    tend_until(embedded, lambda: embedded.slots == 1)
    with pytest.raises(KeyError, match="fault of the task"):
        embedded.submit(fail).result(60)


def test_a_part_is_handed_over_before_the_end_and_nothing_stays(
    embedded: ComputeEngine, tmp_path: Path
) -> None:
    tend_until(embedded, lambda: embedded.slots == 1)
    parts: queue.Queue[Callable[[], object]] = queue.Queue()
    task: Task[str] = embedded.submit(hand_over_and_wait, tmp_path / "go", early=parts.put)

    assert parts.get(timeout=60)() == "a part"
    (tmp_path / "go").touch()

    assert task.result(60) == "the whole"
    assert embedded._connection is not None
    client = embedded._connection.client
    tend_until(embedded, lambda: not client.run_on_scheduler(names_of_queues))


def test_a_killed_worker_loses_its_task_and_is_replaced(
    embedded: ComputeEngine, tmp_path: Path
) -> None:
    tend_until(embedded, lambda: embedded.slots == 1)
    done = threading.Event()
    task: Task[None] = embedded.submit(hang, tmp_path / "started")
    task.when_done(lambda _: done.set())
    tend_until(embedded, lambda: task.started_at is not None)
    os.kill(int((tmp_path / "started").read_text()), signal.SIGKILL)

    with pytest.raises(EngineLost):
        task.result(60)

    assert done.wait(10)
    tend_until(embedded, lambda: embedded.slots == 1)
    assert embedded.submit(os.getpid).result(60)


def test_an_end_ends_what_hangs(embedded: ComputeEngine, tmp_path: Path) -> None:
    tend_until(embedded, lambda: embedded.slots == 1)
    task: Task[None] = embedded.submit(hang, tmp_path / "started")
    tend_until(embedded, lambda: task.started_at is not None)

    embedded.end(task)

    with pytest.raises(EngineLost):
        task.result(60)
    tend_until(embedded, lambda: embedded.slots == 1)
    assert embedded.submit(os.getpid).result(60)


def test_a_cluster_that_is_gone_is_made_anew(embedded: ComputeEngine) -> None:
    tend_until(embedded, lambda: embedded.slots == 1)
    assert embedded._connection is not None
    cluster = embedded._connection._cluster
    assert cluster is not None
    cluster.close()
    tend_until(
        embedded,
        lambda: (
            embedded.slots == 1
            and embedded._connection is not None
            and embedded._connection._cluster is not cluster
        ),
    )
    assert embedded.submit(os.getpid).result(60)


def test_an_engine_whose_idle_worker_was_stopped_is_made_anew() -> None:
    engine = ComputeEngine(
        partial(connect, EngineAddress(threads=1)),
        prove,
        Health(),
        renewed=True,
        paces=EnginePaces(reconnect=QUICK, rest=QUICK, silent_seconds=3, empty_seconds=1),
    )
    tend_until(engine, lambda: engine.slots == 1)
    stopped = engine.submit(os.getpid).result(60)
    os.kill(stopped, signal.SIGSTOP)
    tend_until(engine, lambda: engine.slots == 0)
    tend_until(engine, lambda: engine.slots == 1)

    assert engine.submit(os.getpid).result(60) != stopped
    engine.close()
