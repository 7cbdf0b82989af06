"""Outcome of faults in reading a file; backoff between attempts."""

import errno
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dicom_node.delivery.backoff import TRIED_SHARE, Backoff
from dicom_node.delivery.outcome import Outcome, Verdict, unsendable
from dicom_node.delivery.worker import settlement_for
from storage.delivery.outbox import DueDelivery

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BACKOFF = Backoff(first_seconds=5, factor=2, max_seconds=900, give_up_after=timedelta(hours=72))


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [
        (1, 5),  # the first wait
        (2, 10),
        (3, 20),
        (8, 640),
        (9, 900),  # capped
        (10**6, 900),  # no overflow however long a destination is down
    ],
)
def test_waits_double_up_to_the_cap(attempts: int, seconds: float) -> None:
    assert BACKOFF.wait(attempts) == timedelta(seconds=seconds)


@given(st.integers(1, 200))
def test_waits_never_shrink_nor_pass_the_cap(attempts: int) -> None:
    assert BACKOFF.wait(attempts) <= BACKOFF.wait(attempts + 1) <= timedelta(seconds=900)


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (FileNotFoundError(errno.ENOENT, "gone"), Verdict.REFUSED),
        (ValueError("no DICOM"), Verdict.REFUSED),
        (OSError("the file became shorter"), Verdict.REFUSED),
        (OSError(errno.EMFILE, "too many open files"), Verdict.POSTPONED),
        (OSError(errno.EIO, "the disk does not answer"), Verdict.POSTPONED),
    ],
)
def test_only_what_is_the_fault_of_the_file_is_final(fault: Exception, verdict: Verdict) -> None:
    outcome = unsendable(fault)

    assert outcome.verdict is verdict
    assert outcome.detail.startswith(f"cannot send: {type(fault).__name__}")


@pytest.mark.parametrize(("age", "tries"), [(71.9, True), (72.0, False), (100.0, False)])
def test_gives_up_after_the_deadline(*, age: float, tries: bool) -> None:
    first_at = NOW - timedelta(hours=age)

    assert (BACKOFF.next_try(attempts=300, first_at=first_at, now=NOW) is not None) is tries


def test_objects_tried_more_and_less_often_are_given_up_for_one_reason() -> None:
    outcome = Outcome(verdict=Verdict.POSTPONED, detail="nobody answers")
    reasons = {
        settlement_for(due(attempts), outcome, BACKOFF, NOW).reason for attempts in (300, 301)
    }

    assert reasons == {"given up after 72 h: nobody answers"}


def test_a_clock_set_forward_gives_nothing_up() -> None:
    passed = NOW - timedelta(days=400)

    assert BACKOFF.least_attempts == 150
    assert BACKOFF.next_try(attempts=149, first_at=passed, now=NOW) is not None
    assert BACKOFF.next_try(attempts=150, first_at=passed, now=NOW) is None


def due(attempts: int) -> DueDelivery:
    return DueDelivery(
        id=attempts,
        destination="PACS",
        sop_instance_uid="1.2.3",
        sop_class_uid="1.2.4",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path="results/a/1.dcm",
        kind="report",
        result_key="a",
        attempts=attempts,
        first_at=NOW - timedelta(hours=73),
    )


backoffs = st.builds(
    Backoff,
    first_seconds=st.floats(0.1, 100),
    factor=st.floats(1, 3),
    max_seconds=st.floats(100, 5000),
    give_up_after=st.floats(0.1, 1e6).map(lambda seconds: timedelta(seconds=seconds)),
)


@given(backoffs)
def test_the_least_attempts_take_half_of_the_time(backoff: Backoff) -> None:
    attempts = backoff.least_attempts
    assume(attempts < 1000)
    waited = sum((backoff.wait(number) for number in range(1, attempts + 1)), timedelta())

    assert waited <= backoff.give_up_after * TRIED_SHARE + timedelta(milliseconds=1)
    assert waited + backoff.wait(attempts + 1) >= (
        backoff.give_up_after * TRIED_SHARE - timedelta(milliseconds=1)
    )


@given(st.integers(1, 50), st.text(max_size=20))
def test_the_objects_of_a_result_come_back_together_and_results_apart(
    attempts: int, key: str
) -> None:
    again = BACKOFF.next_try(attempts=attempts, first_at=NOW, now=NOW, key=key)
    assert again is not None
    assert again == BACKOFF.next_try(attempts=attempts, first_at=NOW, now=NOW, key=key)
    assert 0.8 * BACKOFF.wait(attempts) <= again - NOW <= BACKOFF.wait(attempts)


def test_results_are_spread() -> None:
    tries = {BACKOFF.next_try(attempts=9, first_at=NOW, now=NOW, key=str(n)) for n in range(100)}
    assert len(tries) > 90
