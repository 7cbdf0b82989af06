"""Condition of the node: kept by part, written to a file, read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicom_node.health import (
    FILE,
    MAX_FAULTS,
    Condition,
    Health,
    read_condition,
    why_not_ready,
    write_condition,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that goes one second further at each look."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def test_a_fault_keeps_the_time_it_began() -> None:
    health = Health(Clock())
    assert health.fault("engine", "no answer")
    assert not health.fault("engine", "refused")
    (fault,) = health.snapshot()
    assert (fault.since, fault.reason, fault.count) == (START + timedelta(seconds=1), "refused", 2)


def test_what_is_well_again_is_gone() -> None:
    health = Health(Clock())
    health.fault("engine", "no answer")
    assert health.well("engine")
    assert not health.well("engine")
    assert health.snapshot() == ()


def test_names_from_peers_cannot_fill_the_memory() -> None:
    health = Health(Clock())
    for number in range(3 * MAX_FAULTS):
        health.fault(f"worker {number}", "no answer")
    assert len(health.snapshot()) == MAX_FAULTS


def test_the_file_says_what_was_written(tmp_path: Path) -> None:
    health = Health(Clock())
    health.fault("index", "the database is away", receiving=False)
    condition = Condition(written_at=START, faults=health.snapshot())
    write_condition(tmp_path, condition)
    assert read_condition(tmp_path) == condition
    assert not condition.receiving
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["text", "link"])
def test_a_file_that_cannot_be_read_is_out_of_order(tmp_path: Path, damage: str) -> None:
    assert read_condition(tmp_path) is None
    file = tmp_path / FILE
    if damage == "text":
        file.write_text('{"faults": [{"part": 1}]}')
    else:
        file.symlink_to(file)

    condition = read_condition(tmp_path)
    assert condition is not None
    (fault,) = condition.faults
    assert (fault.part, fault.receiving) == ("condition", True)
    assert fault.reason.startswith(f"{file}: cannot be read (")
    assert fault.reason in why_not_ready(condition, condition.written_at, running=True)


def test_a_node_is_ready_while_it_runs_tells_so_and_takes_instances() -> None:
    health = Health(Clock())
    health.fault("engine", "no answer")
    well = Condition(written_at=START, faults=health.snapshot())
    assert why_not_ready(well, START, running=True) == ""
    assert "not running" in why_not_ready(well, START, running=False)
    assert "told its condition yet" in why_not_ready(None, START, running=True)
    told = why_not_ready(well, START + timedelta(minutes=2), running=True)
    assert f"since {START.astimezone():%Y-%m-%d %H:%M:%S}: it starts, or hangs" in told
    health.fault("index", "rows wait", receiving=False)
    refusing = Condition(written_at=START, faults=health.snapshot())
    assert why_not_ready(refusing, START, running=True) == "index: rows wait"
