"""The time by which ages are judged: never ahead of the clock, nor far ahead of what has passed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dicom_node.maintenance.confirmed_clock import (
    CONFIRMING_SECONDS,
    DOWNTIME,
    TOLERANCE,
    ConfirmedClock,
    begin,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = 24 * 3600

seconds = st.floats(0, 7200)
jumps = st.sampled_from([0.0] * 8 + [40.0 * DAY, -40.0 * DAY, 1800.0, -3.0])
rounds = st.lists(st.tuples(seconds, jumps), max_size=60)


@given(rounds)
def test_it_runs_ahead_of_no_clock_until_a_jump_has_held(steps: list[tuple[float, float]]) -> None:
    wall, steady = [NOW], [0.0]
    clock = ConfirmedClock(lambda: wall[0], steady=lambda: steady[0])
    last = clock.look(NOW)
    for passed, jump in steps:
        steady[0] += passed
        wall[0] += timedelta(seconds=passed + jump)

        judged = clock.look(None)

        assert judged.time <= wall[0]
        ahead = judged.time - last.time - timedelta(seconds=passed)
        confirmed = last.ahead_since is not None and (
            steady[0] - last.ahead_since >= CONFIRMING_SECONDS
        )
        assert ahead <= TOLERANCE or confirmed
        last = judged


@given(st.integers(1, 400))
def test_a_clock_that_runs_as_it_should_is_believed(hours: int) -> None:
    wall, steady = [NOW], [0.0]
    clock = ConfirmedClock(lambda: wall[0], steady=lambda: steady[0])
    for _ in range(hours):
        judged = clock.look(NOW)
        assert (judged.time, judged.is_doubted) == (wall[0], False)
        wall[0] += timedelta(hours=1)
        steady[0] += 3600


@given(st.floats(0, 1e8))
def test_a_start_long_after_the_latest_record_is_doubted(apart: float) -> None:
    now = NOW + timedelta(seconds=apart)

    judged = begin(now, 0.0, NOW)

    assert judged.time == (now if now - NOW <= DOWNTIME else NOW)
    assert judged.is_doubted == (now - NOW > DOWNTIME)
    assert begin(now, 0.0, None).time == now
