"""When a worker is left out, and for how long."""

from dicom_node.analysis.engine.worker_records import (
    Pace,
    WorkerRecord,
    after_fault,
    after_refusal,
    after_success,
)

REST = Pace(first_seconds=30, longest_seconds=100)
NEW = WorkerRecord()


def test_two_faults_in_a_row_leave_a_worker_out_and_one_does_not() -> None:
    once = after_fault(NEW, "a", "died", 0, REST)
    assert not once.is_left_out(0)

    twice = after_fault(once, "b", "died again", 0, REST)

    assert twice.is_left_out(29.9)
    assert not twice.is_left_out(30)
    assert twice.reason == "died again"


def test_a_success_between_two_faults_forgives_the_first() -> None:
    forgiven = after_success(after_fault(NEW, "a", "died", 0, REST))
    assert not after_fault(forgiven, "b", "died", 0, REST).is_left_out(0)


def test_the_same_series_counts_once_for_it_may_be_the_cause() -> None:
    record = NEW
    for _ in range(5):
        record = after_fault(record, "a", "died", 0, REST)
    assert not record.is_left_out(0)


def test_a_worker_that_cannot_prove_itself_is_left_out_at_once_and_longer_each_time() -> None:
    record, now, waits = NEW, 0.0, []
    for _ in range(4):
        record = after_refusal(record, "another version", now, REST)
        waits.append(record.until - now)
        now = record.until
    assert waits == [30, 60, 100, 100]


def test_after_its_rest_one_fault_is_enough_until_it_has_done_a_task() -> None:
    rested = after_refusal(NEW, "x", 0, REST)
    assert after_fault(rested, "a", "died", 30, REST).until == 90
    assert not after_fault(after_success(rested), "a", "died", 30, REST).is_left_out(30)
