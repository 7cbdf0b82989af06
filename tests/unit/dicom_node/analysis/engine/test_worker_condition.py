"""A worker that is connected, but would begin no task, is noticed; the clocks may differ."""

from dataclasses import replace

import pytest

from dicom_node.analysis.engine.connection import SeenWorker
from dicom_node.analysis.engine.worker_condition import WorkerCondition

ONE = SeenWorker(address="a", identity="n", label="one", threads=1, heard_at=5e9)


def test_a_worker_is_silent_when_what_the_scheduler_heard_stays_the_same() -> None:
    condition = WorkerCondition(silent_seconds=60)

    assert condition.faults([ONE], now=100) == {}
    assert condition.faults([ONE], now=160) == {}
    assert "not been heard for 61 s" in condition.faults([ONE], now=161)["a"]
    assert condition.faults([replace(ONE, heard_at=5e9 + 1)], now=162) == {}


def test_a_worker_that_comes_again_is_new() -> None:
    condition = WorkerCondition(silent_seconds=60)
    condition.faults([ONE], now=100)
    condition.faults([], now=101)

    assert condition.faults([ONE], now=200) == {}


@pytest.mark.parametrize("status", ["init", "running"])
def test_a_worker_that_starts_or_runs_is_in_order(status: str) -> None:
    assert WorkerCondition().faults([replace(ONE, status=status)], now=0) == {}


@pytest.mark.parametrize(
    ("status", "said"), [("paused", "memory"), ("closing_gracefully", "closing_gracefully")]
)
def test_a_worker_that_says_it_begins_nothing_is_named(status: str, said: str) -> None:
    assert said in WorkerCondition().faults([replace(ONE, status=status)], now=0)["a"]
