"""Redeliver results on an operator's request: refused deliveries, and those still pending."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Row, select, true, update
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, Result, ResultObject, Series
from storage.delivery.series_completion import remarks
from storage.series.lifecycle import advance, chosen_series, locked
from storage.states import DeliveryState, SeriesState

RESUMED = (DeliveryState.REFUSED, DeliveryState.PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redelivery:
    """What is sent again: numbers of objects, by Series Instance UID and destination.

    Attributes
    ----------
    due
        Are sent again.
    missing
        Cannot be: their files are not there.
    """

    due: Counter[tuple[str, str]]
    missing: Counter[tuple[str, str]]


def redeliver(
    session: Session,
    now: datetime,
    *,
    folder: Path,
    destinations: Sequence[str],
    series: Sequence[str] = (),
    study: str | None = None,
) -> Redelivery:
    """Make the refused and pending deliveries of results due, with their attempts reset.

    A series that failed because results were refused is ENCODED again; one whose analysis failed
    stays FAILED, although its notice, or an earlier result, may be delivered. What has no file
    stays as it is.

    Parameters
    ----------
    folder
        The storage folder, in which the files of results are.
    series, study
        Series or Study Instance UIDs; all series whose results are kept, if neither is given.
    """
    named = bool(series) or study is not None
    rows = session.execute(
        select(
            Delivery.id,
            Delivery.destination,
            Result.key,
            Result.series_instance_uid,
            ResultObject.path,
        )
        .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
        .join(Result)
        .join(Series, Series.series_instance_uid == Result.series_instance_uid)
        .where(Delivery.state.in_(RESUMED), Delivery.destination.in_(destinations))
        .where(true() if named else Result.purged_at.is_(None), chosen_series(series, study))
    ).all()
    there = [row for row in rows if (folder / row.path).is_file()]
    for uid, key in sorted({(row.series_instance_uid, row.key) for row in there}):
        _reopen(session, uid, key, now)
    resumed = session.scalars(
        update(Delivery)
        .where(Delivery.id.in_([row.id for row in there]), Delivery.state.in_(RESUMED))
        .values(
            state=DeliveryState.PENDING,
            next_at=now,
            first_at=now,
            attempts=0,
            reason="",
            unanswered=False,
        )
        .returning(Delivery.id)
    ).all()
    return Redelivery(
        due=Counter(_whence(row) for row in there if row.id in resumed),
        missing=Counter(_whence(row) for row in rows if row not in there),
    )


def _whence(row: Row[int, str, str, str, str]) -> tuple[str, str]:
    return row.series_instance_uid, row.destination


def _reopen(session: Session, uid: str, key: str, now: datetime) -> None:
    """Move a series back to ENCODED if it failed because of its deliveries."""
    row = locked(session, uid)
    if row.state is not SeriesState.FAILED or row.result_key != key:
        return
    if row.reason == remarks(session, key, DeliveryState.REFUSED):
        advance(session, uid, old=SeriesState.FAILED, new=SeriesState.ENCODED, now=now)
