"""The worklist of the console: series with what became of them, a page at a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from storage.database.schema import Delivery, Result, ResultObject, Series
from storage.database.self_test_series import of_patients
from storage.results.condensed_objects import NUMBER
from storage.states import ARRIVED, DeliveryState, SeriesState

D, S = DeliveryState, SeriesState
WAITING = (S.RECEIVING, S.STABLE)
ALIKE = {
    "study_of": Series.study_instance_uid,
    "accession_of": Series.accession_key,
    "patient_of": Series.patient_digest,
}
"""Columns in which series may be alike."""
MOST_LISTED = 200  #: values: as many as a list on a page holds
MOST_COUNTED = 10_000  #: series of a state; more are "more than"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What of the worklist is asked for; None or empty leaves everything.

    Attributes
    ----------
    series
        Series Instance UIDs; None for every one.
    alike
        What series have in common with another (a key of `ALIKE`), and its UID.
    study
        Study Instance UID.
    since, until
        Of the latest instance; `until` is not included.
    before
        Time and UID of the last line of the page before.
    entered_since, entered_until
        When the series came into its state; `entered_until` is not included.
    patients, accessions
        Keyed digests of a Patient ID, or of an Accession Number; any of them will do.
    """

    state: SeriesState | None = None
    sender: str = ""
    destination: str = ""
    flag: str = ""
    alike: tuple[str, str] | None = None
    study: str = ""
    series: tuple[str, ...] | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: tuple[datetime, str] | None = None
    entered_since: datetime | None = None
    entered_until: datetime | None = None
    patients: tuple[str, ...] = ()
    accessions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A series in the worklist.

    Attributes
    ----------
    score, positive, summary
        Of its latest result; None and empty without one.
    destinations
        Number of deliveries of that result by destination and state.
    """

    series_instance_uid: str
    study_instance_uid: str
    modality: str
    calling_ae: str
    state: SeriesState
    reason: str
    instances: int
    first_at: datetime
    last_at: datetime
    since: datetime
    score: float | None = None
    positive: bool | None = None
    result_at: datetime | None = None
    summary: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    destinations: Mapping[str, Mapping[DeliveryState, int]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def arrived(self, destination: str) -> bool:
        """Whether a destination has accepted everything that it is to get."""
        states = self.destinations.get(destination, {})
        there = {*ARRIVED, D.UNCOMMITTED, D.REPLACED}
        return bool(states) and all(state in there for state in states)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """The node at a glance: numbers of series.

    Attributes
    ----------
    oldest_waiting
        When the latest instance of the series came that waits the longest.
    """

    waiting: int
    analysing: int
    sending: int
    delivered: int
    unsuitable: int
    failed: int
    oldest_waiting: datetime | None


def worklist(session: Session, wanted: Filter, limit: int) -> list[Line]:
    """List series, those with the latest instances first."""
    query = (
        _filtered(wanted)
        .order_by(Series.last_at.desc(), Series.series_instance_uid.desc())
        .limit(limit)
    )
    rows = session.execute(query).all()
    deliveries = deliveries_of(session, [series.result_key for series, _ in rows])
    return [_line(series, result, deliveries) for series, result in rows]


def senders(session: Session) -> list[str]:
    """List the AE titles that series came from."""
    return distinct_values(session, Series.calling_ae)


def distinct_values(session: Session, column: InstrumentedAttribute[str]) -> list[str]:
    """List the values of an indexed column, by jumping from one to the next."""
    found: list[str] = []
    while len(found) < MOST_LISTED:
        query = select(func.min(column))
        if found:
            query = query.where(column > found[-1])
        value = session.scalar(query)
        if value is None:
            break
        found.append(value)
    return found


def tiles(session: Session, today: datetime) -> Tiles:
    """Count the series under way, and those that have ended since a time."""

    def count(*states: SeriesState, since: datetime | None = None) -> int:
        query = select(Series.series_instance_uid).where(Series.state.in_(states), of_patients())
        if since is not None:
            query = query.where(Series.last_at >= since)
        counted = select(func.count()).select_from(query.limit(MOST_COUNTED).subquery())
        return session.scalar(counted) or 0

    oldest = session.scalar(
        select(func.min(Series.last_at)).where(Series.state.in_(WAITING), of_patients())
    )
    return Tiles(
        waiting=count(*WAITING),
        analysing=count(S.ANALYSING),
        sending=count(S.ENCODED),
        delivered=count(S.DELIVERED, since=today),
        unsuitable=count(S.UNSUITABLE, since=today),
        failed=count(S.FAILED),
        oldest_waiting=oldest,
    )


def deliveries_of(
    session: Session, result_keys: Sequence[str | None]
) -> dict[str, dict[str, dict[DeliveryState, int]]]:
    """Count the deliveries of results: by result key, destination and state."""
    keys = [key for key in result_keys if key]
    group = (ResultObject.result_key, Delivery.destination, Delivery.state)
    rows = session.execute(
        select(*group, func.sum(NUMBER))
        .join(Delivery, Delivery.sop_instance_uid == ResultObject.sop_instance_uid)
        .where(ResultObject.result_key.in_(keys))
        .group_by(*group)
        .order_by(*group)
    )
    found: dict[str, dict[str, dict[DeliveryState, int]]] = {}
    for key, destination, state, count in rows:
        found.setdefault(key, {}).setdefault(destination, Counter())[state] += count
    return found


def _filtered(wanted: Filter) -> Select[Series, Result | None]:
    query = select(Series, Result).outerjoin(Result, Result.key == Series.result_key)
    query = query.where(of_patients())
    equal = (
        (Series.state, wanted.state),
        (Series.calling_ae, wanted.sender),
        (Series.study_instance_uid, wanted.study),
    )
    query = query.where(*(column == value for column, value in equal if value))
    if wanted.alike is not None:
        name, uid = wanted.alike
        column, other = ALIKE[name], aliased(Series)
        same = select(getattr(other, column.key)).where(other.series_instance_uid == uid)
        query = query.where(column == same.scalar_subquery(), column != "")
    for column, values in (
        (Series.series_instance_uid, wanted.series),
        (Series.patient_digest, wanted.patients or None),
        (Series.accession_key, wanted.accessions or None),
    ):
        if values is not None:
            query = query.where(column.in_(values))
    query = query.where(*_within(wanted))
    if wanted.flag:
        # one summary after the other: joined, PostgreSQL would read those of all results
        latest = aliased(Result)
        summary = select(latest.summary).where(latest.key == Series.result_key).scalar_subquery()
        query = query.where(summary.contains(json.dumps(wanted.flag), autoescape=True))
    if wanted.before is not None:
        query = query.where(
            tuple_(Series.last_at, Series.series_instance_uid) < tuple_(*wanted.before)
        )
    if wanted.destination:
        sent = (
            select(Delivery.id)
            .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
            .where(
                ResultObject.result_key == Series.result_key,
                Delivery.destination == wanted.destination,
            )
        )
        query = query.where(sent.exists())
    return query


def _within(wanted: Filter) -> list[ColumnElement[bool]]:
    """Build the conditions of time."""
    spans = (
        (Series.last_at, wanted.since, wanted.until),
        (Series.since, wanted.entered_since, wanted.entered_until),
    )
    return [
        condition
        for column, start, end in spans
        for condition in (
            *((column >= start,) if start is not None else ()),
            *((column < end,) if end is not None else ()),
        )
    ]


def _line(
    series: Series,
    result: Result | None,
    deliveries: Mapping[str, Mapping[str, Mapping[DeliveryState, int]]],
) -> Line:
    return Line(
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        modality=series.modality,
        calling_ae=series.calling_ae,
        state=series.state,
        reason=series.reason,
        instances=series.instances,
        first_at=series.first_at,
        last_at=series.last_at,
        since=series.since,
        score=result.score if result else None,
        positive=result.positive if result else None,
        result_at=result.created_at if result else None,
        summary=json.loads(result.summary) if result else {},
        destinations=deliveries.get(series.result_key or "", {}),
    )
