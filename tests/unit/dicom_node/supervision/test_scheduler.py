"""Scheduler and clock watch: jobs go on, whatever is done to the clock."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from dicom_node.clock_watch import ClockWatch
from dicom_node.health import Health
from dicom_node.supervision.scheduler import Scheduler


@dataclass
class Clocks:
    """A time of day that can be set, and a steady clock."""

    day: float = 1e9
    steady: float = 0.0
    jumps: list[float] = field(default_factory=list)

    def watch(self) -> ClockWatch:
        return ClockWatch(
            lambda: self.jumps.append(self.day),
            time_of_day=lambda: self.day,
            steady=lambda: self.steady,
        )

    def go_on(self, seconds: float) -> None:
        self.day += seconds
        self.steady += seconds


@pytest.mark.parametrize("jump", [-3600.0, 3600.0, -2.5])
def test_a_jump_is_noticed_once(jump: float) -> None:
    clocks = Clocks()
    watch = clocks.watch()
    clocks.go_on(5)
    watch.poll()
    assert clocks.jumps == []

    clocks.day += jump
    clocks.go_on(5)
    watch.poll()
    clocks.go_on(5)
    watch.poll()

    assert len(clocks.jumps) == 1


def test_a_drift_is_no_jump() -> None:
    clocks = Clocks()
    watch = clocks.watch()
    for _ in range(10):
        clocks.go_on(5)
        clocks.day += 1.5
        watch.poll()
    assert clocks.jumps == []


def test_what_would_wait_for_another_clock_runs_when_all_are_woken() -> None:
    ran = threading.Semaphore(0)
    schedule = Scheduler(Health())
    schedule.every(3600, "often", ran.release)
    schedule.start()
    assert ran.acquire(timeout=10)  # the first time at once; the next in an hour

    schedule.wake_all()

    assert ran.acquire(timeout=10)
    assert schedule.stop(seconds=10)


@pytest.mark.timeout(60)
def test_a_clock_set_forward_by_decades_costs_one_tick() -> None:
    """Hundreds of millions of ticks were missed: to list them would take the memory of the node."""
    ran = threading.Semaphore(0)
    schedule = Scheduler(Health())
    schedule.every(0.2, "often", ran.release)
    schedule.start()
    assert ran.acquire(timeout=10)

    long_ago = datetime.now(UTC) - timedelta(days=365 * 40)
    schedule._scheduler.modify_job("often", next_run_time=long_ago)  # as a clock does
    for _ in range(2):
        assert ran.acquire(timeout=10)
    assert schedule.stop(seconds=10)


def test_a_job_is_run_after_a_while_but_never_later_than_its_tick() -> None:
    scheduler, ran = Scheduler(Health()), threading.Semaphore(0)
    scheduler.every(1000, "close", ran.release)
    scheduler.start()
    assert ran.acquire(timeout=20)

    scheduler.wake_in(0.01, "close")
    assert ran.acquire(timeout=20)
    scheduler.wake("close")
    scheduler.wake_in(1000, "close")
    assert ran.acquire(timeout=20)
    scheduler.wake_in(0.01, "gone")
    assert scheduler.stop(seconds=20)


def test_the_end_waits_for_a_job_that_wakes_others() -> None:
    runs, pause, ended = threading.Event(), threading.Event(), []
    schedule = Scheduler(Health())

    def settle() -> None:
        runs.set()
        for _ in range(20):  # while the scheduler stops
            schedule.wake("deliver")
            pause.wait(0.01)
        ended.append(True)

    schedule.every(3600, "deliver", lambda: None)
    schedule.once("settle", settle)
    schedule.start()
    assert runs.wait(10)

    stop = threading.Thread(target=partial(schedule.stop, seconds=10), daemon=True)
    stop.start()
    stop.join(10)

    assert not stop.is_alive()
    assert ended == [True]
