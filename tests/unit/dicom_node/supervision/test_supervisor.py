"""Supervisor: a part that has ended is started again, later each time, and people are told."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dicom_node.health import ConditionFile, Health, read_condition
from dicom_node.log_writer import LogWriter
from dicom_node.supervision.supervisor import (
    LONGEST_WAIT_SECONDS,
    LOSS_SECONDS,
    STEADY_SECONDS,
    LogLoss,
    Supervisor,
    wait_before,
)


class Steady:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Mortal:
    """A part that dies when told to."""

    def __init__(self) -> None:
        self.alive, self.starts = True, 1

    def is_alive(self) -> bool:
        return self.alive

    def restart(self) -> None:
        self.alive, self.starts = True, self.starts + 1


def test_a_part_that_ended_is_started_again_and_told() -> None:
    clock, health, part = Steady(), Health(), Mortal()
    supervisor = Supervisor(health, steady=clock)
    supervisor.watch("index", part)
    part.alive = False

    supervisor.look()
    assert [fault.part for fault in health.snapshot()] == ["index"]
    assert part.starts == 1

    clock.now += wait_before(0)
    supervisor.look()
    assert (part.alive, part.starts, health.snapshot()) == (True, 2, ())


def test_each_further_restart_waits_longer_until_it_has_run_for_long() -> None:
    clock, part = Steady(), Mortal()
    supervisor = Supervisor(Health(), steady=clock)
    supervisor.watch("index", part)

    def seconds_until_restart() -> float:
        part.alive, began = False, clock.now
        while not part.alive:
            supervisor.look()
            clock.now += 0.5
        return clock.now - began

    waits = [seconds_until_restart() for _ in range(8)]
    assert waits == sorted(waits)
    assert waits[0] < 2
    assert waits[-1] >= LONGEST_WAIT_SECONDS

    clock.now += STEADY_SECONDS
    supervisor.look()
    assert seconds_until_restart() == waits[0]


@given(st.integers(0, 10_000))
def test_the_wait_grows_up_to_its_limit(restarts: int) -> None:
    assert wait_before(restarts) <= wait_before(restarts + 1) <= LONGEST_WAIT_SECONDS


def test_what_cannot_be_looked_at_does_not_hide_the_others() -> None:
    clock, health, part = Steady(), Health(), Mortal()
    part.alive = False
    supervisor = Supervisor(health, steady=clock)

    def broken() -> None:
        raise RuntimeError("no")

    supervisor.observe("first", broken)
    supervisor.watch("index", part)
    supervisor.look()
    clock.now += 60
    supervisor.look()

    assert part.alive
    assert {fault.part: fault.reason for fault in health.snapshot()} == {
        "first": "it cannot be looked after (RuntimeError)"
    }


def test_what_can_be_looked_at_again_is_well() -> None:
    health, broken = Health(), [True]

    def look() -> None:
        if broken:
            raise OSError

    supervisor = Supervisor(health, publish=look)
    supervisor.look()
    assert [fault.part for fault in health.snapshot()] == ["condition"]
    broken.clear()
    supervisor.look()
    assert health.snapshot() == ()


def test_the_condition_is_written_when_it_changes_and_now_and_then(tmp_path: Path) -> None:
    clock, health = Steady(), Health()
    file = ConditionFile(tmp_path, health, steady=clock)
    file.publish()
    first = read_condition(tmp_path)
    file.publish()
    assert read_condition(tmp_path) == first
    clock.now += 60
    file.publish()
    second = read_condition(tmp_path)
    assert first is not None
    assert second is not None
    assert second.written_at > first.written_at

    health.fault("engine", "away")
    file.publish()
    third = read_condition(tmp_path)
    assert third is not None
    assert [fault.part for fault in third.faults] == ["engine"]


def test_lost_lines_are_told_while_they_are_lost_and_after(tmp_path: Path) -> None:
    clock, health = Steady(), Health()
    with (tmp_path / "log").open("w") as stream:
        writer = LogWriter(stream)
        loss = LogLoss(writer, health, clock)
        writer.lose("no room")
        loss.look()
        (fault,) = health.snapshot()
        assert fault.part == "log"
        assert fault.reason == "1 lines were not written: no room"
        writer.put("there is room")
        writer.flush()
        clock.now += LOSS_SECONDS + 1
        loss.look()
        assert health.snapshot() == ()
