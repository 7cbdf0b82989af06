"""Tell series of the self-test from those of patients, as long as there are rows of them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from storage.database.schema import Series
from storage.database.watch_tables import SelfTestSeries
from storage.states import SeriesState

_UIDS = select(SelfTestSeries.series_instance_uid)


def of_patients() -> ColumnElement[bool]:
    """Build the condition for series that are of no self-test; indexes serve as without it."""
    return Series.series_instance_uid.not_in(_UIDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestSeen:
    """A series of the self-test, as it is now."""

    state: SeriesState
    reason: str
    instances: int


def self_test_series(session: Session) -> dict[str, SelfTestSeen]:
    """List the series of the self-test of which there are rows, by their UIDs."""
    rows = session.scalars(select(Series).where(Series.series_instance_uid.in_(_UIDS)))
    return {
        row.series_instance_uid: SelfTestSeen(
            state=row.state, reason=row.reason, instances=row.instances
        )
        for row in rows
    }


def is_of_self_test(session: Session, series_instance_uid: str) -> bool:
    """Tell whether a series is one of the self-test."""
    mark = SelfTestSeries.series_instance_uid == series_instance_uid
    return bool(session.scalar(select(exists().where(mark))))


def mark_as_self_test(session: Session, series_instance_uid: str) -> None:
    """Mark a series that there is a row of; again does nothing."""
    if session.get(SelfTestSeries, series_instance_uid) is None:
        session.add(SelfTestSeries(series_instance_uid=series_instance_uid))
