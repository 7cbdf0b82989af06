"""The engine comes and goes, and its workers with it: real schedulers and workers of Dask."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from dicom_node.analysis.engine.compute_engine import ComputeEngine, EnginePaces
from dicom_node.analysis.engine.connection import EngineAddress, connect
from dicom_node.analysis.engine.task import Task
from dicom_node.analysis.engine.worker_records import Pace
from dicom_node.errors import EngineAway, EngineLost
from dicom_node.health import Health
from tests.support.fleet import Fleet, tend_until
from tests.support.fleet_tasks import (
    hang,
    process_and_name,
    prove,
    wait_for,
    write_line,
)

pytestmark = pytest.mark.slow

QUICK = Pace(first_seconds=0.2, longest_seconds=1)
LONG = Pace(first_seconds=3600, longest_seconds=3600)


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
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
    running.close()


def reasons(health: Health) -> dict[str, str]:
    return {fault.part: fault.reason for fault in health.snapshot()}


def test_the_engine_may_be_absent_come_go_and_come_again(
    fleet: Fleet, engine: ComputeEngine, health: Health, tmp_path: Path
) -> None:
    engine.tend()
    assert engine.slots == 0
    assert "no scheduler at" in reasons(health)["engine"]
    with pytest.raises(EngineAway):
        engine.submit(process_and_name)

    fleet.start_scheduler()
    fleet.start_worker("first")
    tend_until(engine, lambda: engine.slots == 1, health)
    assert reasons(health) == {}
    assert engine.submit(process_and_name).result(60)[1] == "first"

    task: Task[None] = engine.submit(hang, tmp_path / "started")
    tend_until(engine, lambda: task.started_at is not None)
    fleet.kill_scheduler()
    tend_until(engine, lambda: engine.slots == 0 and "engine" in reasons(health))
    with pytest.raises(EngineAway):
        task.result(60)

    fleet.start_scheduler()
    fleet.start_worker("second")
    tend_until(engine, lambda: engine.slots == 1, health)
    assert engine.submit(process_and_name).result(60)[1] == "second"
    assert reasons(health) == {}


def test_a_wrongly_installed_worker_gets_nothing_and_is_named(
    fleet: Fleet, engine: ComputeEngine, health: Health
) -> None:
    fleet.start_scheduler()
    fleet.start_worker("good", threads=3)
    fleet.start_worker("old", UNFIT="expected dicom-node 2, it has 1")
    fleet.start_worker("empty", PYTHONPATH="")  # without what the task needs
    tend_until(engine, lambda: engine.slots == 3 and len(health.snapshot()) == 2, health)

    names = [engine.submit(process_and_name) for _ in range(20)]

    assert {task.result(60)[1] for task in names} == {"good"}
    assert reasons(health)["worker old"] == "expected dicom-node 2, it has 1"
    assert "ModuleNotFoundError" in reasons(health)["worker empty"]


def test_a_worker_that_is_stopped_gives_back_what_it_has_not_begun(
    fleet: Fleet, health: Health
) -> None:
    engine = ComputeEngine(
        partial(connect, EngineAddress(scheduler=fleet.address)),
        prove,
        health,
        renewed=False,
        paces=EnginePaces(reconnect=QUICK, rest=LONG, silent_seconds=3),
    )
    fleet.start_scheduler()
    fleet.start_worker("one")
    tend_until(engine, lambda: engine.slots == 1, health)
    process, _ = engine.submit(process_and_name).result(60)
    os.kill(process, signal.SIGSTOP)
    task = engine.submit(process_and_name)

    tend_until(engine, lambda: engine.slots == 0, health)

    assert "hangs, or was stopped" in reasons(health)["worker one"]
    assert "engine" in reasons(health)
    with pytest.raises(EngineAway):
        task.result(60)
    os.kill(process, signal.SIGCONT)
    tend_until(engine, lambda: engine.slots == 1, health)
    assert reasons(health) == {}

    fleet.start_worker("two")
    tend_until(engine, lambda: engine.slots == 2, health)
    os.kill(process, signal.SIGSTOP)
    tasks = [engine.submit(process_and_name) for _ in range(4)]
    tend_until(engine, lambda: engine.slots == 1, health)
    ended = [worker_or_fault(task) for task in tasks]
    assert set(ended) <= {"two", "EngineAway"}
    assert "EngineAway" in ended  # it lay at the stopped one
    os.kill(process, signal.SIGCONT)
    engine.close()


def worker_or_fault(task: Task[tuple[int, str]]) -> str:
    try:
        return task.result(60)[1]
    except EngineAway as away:
        return type(away).__name__


def test_only_the_worker_that_hangs_is_restarted(
    fleet: Fleet, engine: ComputeEngine, health: Health, tmp_path: Path
) -> None:
    fleet.start_scheduler()
    fleet.start_worker("one")
    fleet.start_worker("two")
    tend_until(engine, lambda: engine.slots == 2, health)
    hanging: Task[None] = engine.submit(hang, tmp_path / "started")
    tend_until(engine, lambda: hanging.started_at is not None)
    good = engine.submit(wait_for, tmp_path / "go", avoid=frozenset({hanging.worker}))
    tend_until(engine, lambda: good.started_at is not None)

    engine.end(hanging)

    with pytest.raises(EngineLost, match="too long"):
        hanging.result(60)
    assert engine.fit_workers == {good.worker} != {hanging.worker}
    (tmp_path / "go").touch()
    assert good.result(60) > 0
    tend_until(engine, lambda: engine.slots == 2, health)  # its nanny has started it again
    assert {engine.name_of(worker) for worker in engine.fit_workers} == {"one", "two"}


def test_a_killed_worker_is_reported_at_once_and_its_task_not_run_again(
    fleet: Fleet, engine: ComputeEngine, health: Health, tmp_path: Path
) -> None:
    """The scheduler would run it on three more workers, uncounted."""
    fleet.start_scheduler()
    fleet.start_worker("one")
    fleet.start_worker("two")
    tend_until(engine, lambda: engine.slots == 2, health)
    task: Task[None] = engine.submit(hang, tmp_path / "started")
    tend_until(engine, lambda: task.started_at is not None)

    os.kill(int((tmp_path / "started").read_text()), signal.SIGKILL)

    with pytest.raises(EngineLost, match="died"):
        task.result(60)
    tend_until(engine, lambda: engine.slots == 2, health)
    assert len((tmp_path / "started").read_text().splitlines()) == 1


def test_a_worker_killed_before_its_value_was_taken_is_lost_and_nobody_waits_for_it(
    fleet: Fleet, engine: ComputeEngine, health: Health
) -> None:
    """The scheduler would have it made again at addresses that no longer exist."""
    fleet.start_scheduler()
    fleet.start_worker("one")
    tend_until(engine, lambda: engine.slots == 1, health)
    process, _ = engine.submit(process_and_name).result(60)
    done = threading.Event()
    task = engine.submit(process_and_name)
    task.when_done(lambda _: done.set())
    assert done.wait(60)
    os.kill(process, signal.SIGKILL)

    with ThreadPoolExecutor(1) as pool:
        value = pool.submit(task.result, 60)
        tend_until(engine, value.done)

    with pytest.raises(EngineLost, match="its worker was lost"):
        value.result()
    tend_until(engine, lambda: engine.slots == 1, health)  # its nanny has started it again
    assert engine.submit(process_and_name).result(60)[1] == "one"


def test_a_worker_with_two_faults_in_a_row_is_left_out_and_named(
    fleet: Fleet, engine: ComputeEngine, health: Health
) -> None:
    fleet.start_scheduler()
    fleet.start_worker("one")
    fleet.start_worker("two")
    tend_until(engine, lambda: engine.slots == 2, health)
    task = engine.submit(process_and_name)
    _, name = task.result(60)

    engine.record_fault(task.worker, "1.2.3", "FileNotFoundError")
    assert engine.slots == 2
    engine.record_fault(task.worker, "1.2.4", "FileNotFoundError")

    assert engine.slots == 1
    assert task.worker not in engine.fit_workers
    assert reasons(health) == {f"worker {name}": "FileNotFoundError"}
    engine.tend()
    assert engine.slots == 1


def test_a_task_goes_to_another_worker_where_there_is_one(
    fleet: Fleet, engine: ComputeEngine, health: Health
) -> None:
    fleet.start_scheduler()
    fleet.start_worker("one")
    fleet.start_worker("two")
    tend_until(engine, lambda: engine.slots == 2, health)
    first = engine.submit(process_and_name)
    first.result(60)

    others = [engine.submit(process_and_name, avoid=frozenset({first.worker})) for _ in range(5)]
    anywhere = engine.submit(process_and_name, avoid=engine.fit_workers)

    assert {task.result(60)[1] for task in others} == {"one", "two"} - {first.result()[1]}
    assert anywhere.result(60)


def test_urgent_tasks_overtake_others_that_wait(
    fleet: Fleet, engine: ComputeEngine, health: Health, tmp_path: Path
) -> None:
    fleet.start_scheduler()
    fleet.start_worker("one")
    tend_until(engine, lambda: engine.slots == 1, health)
    go, lines = tmp_path / "go", tmp_path / "lines"
    busy = engine.submit(wait_for, go)
    tend_until(engine, lambda: busy.started_at is not None)

    waiting = [
        engine.submit(write_line, lines, name, priority=priority)
        for name, priority in (("usual", 0), ("rerun", -1), ("urgent", 1), ("usual", 0))
    ]
    assert engine._connection is not None
    known = engine._connection.client.processing  # what the scheduler has given to each worker
    tend_until(engine, lambda: sum(map(len, known().values())) == 5)
    assert [task.started_at for task in waiting] == [None] * 4
    go.touch()
    for task in waiting:
        task.result(60)

    assert lines.read_text().split() == ["urgent", "usual", "usual", "rerun"]
