"""Deliveries that a person has taken up again: what was refused, or waits for its next try."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, select, true, update
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, Result, ResultObject, Series
from storage.delivery.conclusion import remarks
from storage.series.lifecycle import advance, locked
from storage.states import DeliveryState, SeriesState

RESUMED = (DeliveryState.REFUSED, DeliveryState.PENDING)


def redeliver(
    session: Session,
    now: datetime,
    *,
    destinations: Sequence[str],
    series: Sequence[str] = (),
    study: str | None = None,
) -> Counter[tuple[str, str]]:
    """Have what has not arrived of kept results sent now, with its tries counted anew.

    A series that failed because results were refused is ENCODED again; one whose analysis failed
    stays as it is, though its notice, or an earlier result, may be delivered.

    Parameters
    ----------
    series, study
        Which series; all, where nothing is said.

    Returns
    -------
    Counter
        Series Instance UID and destination to the number of objects.
    """
    rows = session.execute(
        select(Delivery.id, Delivery.destination, Result.key, Result.series_instance_uid)
        .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
        .join(Result)
        .join(Series, Series.series_instance_uid == Result.series_instance_uid)
        .where(Delivery.state.in_(RESUMED), Delivery.destination.in_(destinations))
        .where(Result.purged_at.is_(None), _chosen(series, study))
    ).all()
    for uid, key in sorted({(each.series_instance_uid, each.key) for each in rows}):
        _reopen(session, uid, key, now)
    resumed = session.scalars(
        update(Delivery)
        .where(Delivery.id.in_([each.id for each in rows]), Delivery.state.in_(RESUMED))
        .values(state=DeliveryState.PENDING, next_at=now, first_at=now, attempts=0, reason="")
        .returning(Delivery.id)
    ).all()
    return Counter(
        (each.series_instance_uid, each.destination) for each in rows if each.id in resumed
    )


def _chosen(series: Sequence[str], study: str | None) -> ColumnElement[bool]:
    if series:
        return Series.series_instance_uid.in_(series)
    return true() if study is None else Series.study_instance_uid == study


def _reopen(session: Session, uid: str, key: str, now: datetime) -> None:
    """Let a series wait for its deliveries again, if it was they that made it fail."""
    row = locked(session, uid)
    if row.state is not SeriesState.FAILED or row.result_key != key:
        return
    if row.reason == remarks(session, key, DeliveryState.REFUSED):
        advance(session, uid, old=SeriesState.FAILED, new=SeriesState.ENCODED, now=now)
