"""Destinations, senders and queue, for the pages of the console."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, exists, func, select
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, Result, ResultObject, Series
from storage.database.self_test_series import of_patients
from storage.database.watch_tables import HOLD, STOP, is_held
from storage.states import UNDER_WAY, DeliveryState, SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Deliveries to one destination that have not ended, or ended badly.

    Attributes
    ----------
    states
        Number in each state that is under way, declined or refused.
    oldest
        When the first of those under way was recorded.
    fault, fault_at
        Reason of the latest that has one, and when it is tried next.
    """

    states: Mapping[DeliveryState, int]
    oldest: datetime | None = None
    fault: str = ""
    fault_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderLine:
    """What one sender has sent since a time."""

    calling_ae: str
    series: int
    states: Mapping[SeriesState, int]
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A series that waits, or is worked on.

    Attributes
    ----------
    held
        Whether it is not analysed until somebody accepts that its scanner has changed.
    """

    series_instance_uid: str
    calling_ae: str
    state: SeriesState
    instances: int
    attempts: int
    urgent: bool
    since: datetime
    last_at: datetime
    not_before: datetime | None
    held: bool = False


def waited_for(session: Session) -> list[str]:
    """List the destinations for which something waits, also those that the settings do not name.

    One step in the index for each destination: a DISTINCT would read all deliveries.
    """
    found = list[str]()
    first = select(func.min(Delivery.destination))
    name = session.scalar(first)
    while name is not None:
        waits = exists().where(Delivery.destination == name, Delivery.state.in_(sorted(UNDER_WAY)))
        if session.scalar(select(waits)):
            found.append(name)
        name = session.scalar(first.where(Delivery.destination > name))
    return found


def backlog(session: Session, destination: str) -> Backlog:
    """Find what a destination has still to get."""
    wanted = (*UNDER_WAY, DeliveryState.DECLINED, DeliveryState.REFUSED)
    states: dict[DeliveryState, int] = {}
    oldest: datetime | None = None
    for state in sorted(wanted):
        count, first = session.execute(
            select(func.count(), func.min(Delivery.first_at)).where(
                Delivery.destination == destination, Delivery.state == state
            )
        ).one()
        if count:
            states[state] = count
        if first is not None and state in UNDER_WAY:
            oldest = first if oldest is None else min(oldest, first)
    faulty = session.execute(
        select(Delivery.reason, Delivery.next_at)
        .where(
            Delivery.destination == destination,
            Delivery.state.in_((DeliveryState.PENDING, DeliveryState.REFUSED)),
            Delivery.reason != "",
        )
        .order_by(Delivery.next_at.desc())
        .limit(1)
    ).one_or_none()
    return Backlog(
        states=states,
        oldest=oldest,
        fault=faulty[0] if faulty else "",
        fault_at=faulty[1] if faulty else None,
    )


def held_deliveries(session: Session, destination: str) -> int:
    """Count what waits until somebody accepts that a scanner has changed."""
    held = session.scalar(
        select(func.count())
        .select_from(Delivery)
        .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
        .join(Result, Result.key == ResultObject.result_key)
        .join(Series, Series.series_instance_uid == Result.series_instance_uid)
        .where(
            Delivery.destination == destination,
            Delivery.state == DeliveryState.PENDING,
            is_held(HOLD, STOP),
        )
    )
    return held or 0


def sender_lines(session: Session, since: datetime) -> list[SenderLine]:
    """Count the series of every sender since a time, the busiest first."""
    sender = func.coalesce(Series.calling_ae, "")  # by its index all series would be looked at
    rows = session.execute(
        select(sender, Series.state, func.count(), func.max(Series.last_at))
        .where(Series.last_at >= since, of_patients())
        .group_by(sender, Series.state)
    )
    found: dict[str, dict[SeriesState, int]] = {}
    last: dict[str, datetime] = {}
    for title, state, count, at in rows:
        found.setdefault(title, {})[state] = count
        last[title] = max(at, last.get(title, at))
    lines = [
        SenderLine(
            calling_ae=title, series=sum(states.values()), states=states, last_at=last[title]
        )
        for title, states in found.items()
    ]
    return sorted(lines, key=lambda line: (-line.series, line.calling_ae))


def queue(session: Session, limit: int | None) -> list[Waiting]:
    """List the series that wait or are worked on, in the order of their turn as far as known.

    Those that are worked on come first, those that are still received last.
    """
    order = {SeriesState.ANALYSING: 0, SeriesState.STABLE: 1, SeriesState.RECEIVING: 2}
    rows = session.execute(
        select(Series, is_held(STOP))
        .where(Series.state.in_(order), of_patients())
        .order_by(case(order, value=Series.state), Series.urgent.desc(), Series.last_at)
        .limit(limit)
    )
    return [
        Waiting(
            series_instance_uid=row.series_instance_uid,
            calling_ae=row.calling_ae,
            state=row.state,
            instances=row.instances,
            attempts=row.attempts,
            urgent=row.urgent,
            since=row.since,
            last_at=row.last_at,
            not_before=row.not_before,
            held=held,
        )
        for row, held in rows
    ]
