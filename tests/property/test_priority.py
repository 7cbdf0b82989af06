"""Urgent series go first, and nobody is overtaken for ever."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from storage.series.priority import (
    RERUN_BEHIND,
    TRIED_BEHIND,
    URGENT_AHEAD,
    Waiting,
    queue_position,
)

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
LONGEST = timedelta(days=30)

times = st.timedeltas(min_value=-LONGEST, max_value=LONGEST).map(lambda offset: NOON + offset)
waiting = st.builds(
    Waiting,
    since=times,
    attempts=st.integers(0, 3),
    urgent=st.booleans(),
    rerun_requested=st.booleans(),
)


@given(waiting, waiting)
def test_nobody_is_overtaken_by_what_came_much_later(early: Waiting, late: Waiting) -> None:
    handicap = TRIED_BEHIND * early.attempts + RERUN_BEHIND
    if late.since > early.since + handicap + URGENT_AHEAD:
        assert queue_position(early) < queue_position(late)


@given(times, st.timedeltas(min_value=timedelta(), max_value=URGENT_AHEAD), st.integers(0, 3))
def test_urgent_overtakes_what_waits_for_less(
    since: datetime, later: timedelta, attempts: int
) -> None:
    ordinary = Waiting(since=since, attempts=attempts)
    urgent = Waiting(since=since + later, attempts=attempts, urgent=True)
    assert queue_position(urgent) <= queue_position(ordinary)


@given(waiting, waiting)
def test_of_two_alike_who_came_first_is_first(one: Waiting, other: Waiting) -> None:
    alike = Waiting(
        since=other.since,
        attempts=one.attempts,
        urgent=one.urgent,
        rerun_requested=one.rerun_requested,
    )
    assert (queue_position(one) < queue_position(alike)) == (one.since < alike.since)


@given(waiting)
def test_a_try_lets_others_pass(one: Waiting) -> None:
    tried = Waiting(
        since=one.since,
        attempts=one.attempts + 1,
        urgent=one.urgent,
        rerun_requested=one.rerun_requested,
    )
    assert queue_position(one) < queue_position(tried)
