"""Numbers of what waits and of what has ended, for whoever watches the node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.database.schema import Base, Delivery, Quarantine, Result, Series
from storage.database.self_test_series import of_patients
from storage.delivery.pauses import pauses
from storage.delivery.work_items import count_open
from storage.results.answers import answer_counts
from storage.results.drift import open_findings_by_action
from storage.results.self_tests import SelfTestRun, latest_passed, latest_self_tests
from storage.states import DeliveryState, SeriesState, WorkItemState

LATEST = timedelta(days=1)  #: in which decisions are counted
ANSWERS = timedelta(days=30)  #: in which answers of readers are counted
WAITING = (SeriesState.RECEIVING, SeriesState.STABLE, SeriesState.ANALYSING)
NOT_ENDED = (
    DeliveryState.PENDING,
    DeliveryState.SENDING,
    DeliveryState.UNCOMMITTED,
    DeliveryState.REFUSED,
)
"""Deliveries that somebody may have to look at, few beside those that have ended well."""
UNDER_WAY = (DeliveryState.PENDING, DeliveryState.SENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the work stands.

    Attributes
    ----------
    series
        Number in each state.
    waiting_since
        When the first of the series in a state that does not last entered it.
    deliveries
        Number by destination and state, of `NOT_ENDED`.
    undelivered_since
        By destination, when the first of what is still to be sent was recorded.
    paused
        Destinations that get nothing.
    quarantine
        Number of files.
    positive, negative, indeterminate
        Series of the latest day, by the decision of their latest result.
    answers
        Answers of readers in the latest 30 days that stand, by their words.
    drift
        Changes that nobody has accepted, by what is done meanwhile.
    self_test, self_test_passed
        The latest self-test that has passed or failed, and the latest that has passed.
    work_items
        Those of the worklist manager that are this node's and have not ended, by state.
    """

    series: Mapping[SeriesState, int]
    waiting_since: Mapping[SeriesState, datetime]
    deliveries: Mapping[tuple[str, DeliveryState], int]
    undelivered_since: Mapping[str, datetime]
    paused: frozenset[str]
    quarantine: int
    positive: int
    negative: int
    indeterminate: int
    answers: Mapping[str, int]
    self_test: SelfTestRun | None = None
    self_test_passed: SelfTestRun | None = None
    drift: Mapping[str, int] = field(default_factory=dict)
    work_items: Mapping[WorkItemState, int] = field(default_factory=dict)


def standing(session: Session, destinations: Sequence[str], now: datetime) -> Standing:
    """Count; what has no index is not asked for."""
    by_state = select(Series.state, func.count()).where(of_patients()).group_by(Series.state)
    first = select(Series.state, func.min(Series.since)).where(
        Series.state.in_(WAITING), of_patients()
    )
    deliveries: dict[tuple[str, DeliveryState], int] = {}
    since: dict[str, datetime] = {}
    for name in destinations:
        rows = session.execute(
            select(Delivery.state, func.count(), func.min(Delivery.first_at))
            .where(Delivery.destination == name, Delivery.state.in_(NOT_ENDED))
            .group_by(Delivery.state)
        )
        for state, count, oldest in rows:
            deliveries[name, state] = count
            if state in UNDER_WAY:
                since[name] = min(oldest, since.get(name, oldest))
    decisions = (  # by way of the series, whose time has an index
        select(Result.positive, func.count())
        .join(Series, Series.result_key == Result.key)
        .where(Series.last_at >= now - LATEST, Result.score.is_not(None))
        .group_by(Result.positive)
    )
    decided = dict(session.execute(decisions).all())
    return Standing(
        series=dict(session.execute(by_state).all()),
        waiting_since=dict(session.execute(first.group_by(Series.state)).all()),
        deliveries=deliveries,
        undelivered_since=since,
        paused=frozenset(pauses(session)),
        quarantine=session.scalar(select(func.count()).select_from(Quarantine)) or 0,
        positive=decided.get(True, 0),
        negative=decided.get(False, 0),
        indeterminate=decided.get(None, 0),
        answers=answer_counts(session, now - ANSWERS).standing,
        self_test=next(iter(latest_self_tests(session, 1)), None),
        self_test_passed=latest_passed(session),
        drift=open_findings_by_action(session),
        work_items=count_open(session),
    )


def rows_of_tables(session: Session) -> dict[str, int]:
    """Count the rows of every table."""
    return {
        table.name: session.scalar(select(func.count()).select_from(table)) or 0
        for table in Base.metadata.sorted_tables
    }
