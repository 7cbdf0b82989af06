"""Retention rules: whatever the states, no series is chosen that must stay."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from storage.maintenance.retention import YOUNGEST, RetentionRules, SeriesUsage, choose
from storage.states import DeliveryState, SeriesState

NOW = datetime(2024, 5, 1, tzinfo=UTC)
S, D = SeriesState, DeliveryState

moments = st.integers(-100, 60 * 24 * 60).map(lambda minutes: NOW - timedelta(minutes=minutes))
deliveries = st.tuples(st.sampled_from(["A", "B"]), st.sampled_from(D))
usage = st.builds(
    SeriesUsage,
    series_instance_uid=st.integers(1, 10**9).map(str),
    state=st.sampled_from(S),
    since=moments,
    last_at=moments,
    rerun_requested=st.booleans(),
    bytes=st.integers(0, 1000),
    deliveries=st.frozensets(deliveries, max_size=4),
)
many = st.lists(usage, max_size=12, unique_by=lambda series: series.series_instance_uid)
rules = st.builds(
    RetentionRules,
    keep=st.none() | st.integers(0, 40).map(lambda days: timedelta(days=days)),
    committing=st.frozensets(st.sampled_from(["A", "B"])),
)
DONE = {D.ACCEPTED, D.COMMITTED, D.REPLACED, D.REFUSED}


@given(many, rules, st.integers(-10, 5000))
def test_nothing_is_chosen_that_must_stay(
    all_: list[SeriesUsage], rules: RetentionRules, short: int
) -> None:
    chosen = choose(all_, rules, NOW, shortage=short)

    by_uid = {series.series_instance_uid: series for series in all_}
    assert len(set(chosen)) == len(chosen)
    for series in map(by_uid.__getitem__, chosen):
        assert series.state in {S.DELIVERED, S.UNSUITABLE, S.FAILED, S.FEEDBACK}
        assert not series.rerun_requested
        assert {state for _, state in series.deliveries} <= DONE
        assert not {(name, D.ACCEPTED) for name in rules.committing} & series.deliveries
        quiet = NOW - max(series.since, series.last_at)
        assert quiet >= YOUNGEST
        if short <= 0 or series.state is not S.DELIVERED:
            assert rules.keep is not None
            assert quiet >= rules.keep


@given(many, rules, st.integers(1, 5000))
def test_room_is_made_no_further_than_needed_and_the_oldest_go(
    all_: list[SeriesUsage], rules: RetentionRules, short: int
) -> None:
    by_age = choose(all_, rules, NOW)
    early = choose(all_, rules, NOW, shortage=short)[len(by_age) :]
    most = choose(all_, rules, NOW, shortage=10**9)[len(by_age) :]

    assert early == most[: len(early)]
    sizes = {series.series_instance_uid: series.bytes for series in all_}
    freed = sum(sizes[uid] for uid in (*by_age, *early))
    assert freed >= short or early == most
    if early:
        assert freed - sizes[early[-1]] < short


@given(many)
def test_for_ever_is_for_ever(all_: list[SeriesUsage]) -> None:
    assert choose(all_, RetentionRules(keep=None), NOW) == []
