"""Redeliver results on an operator's request: refused deliveries, and those still pending."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, Result, ResultObject, Series
from storage.delivery.series_completion import remarks
from storage.series.lifecycle import advance, chosen_series, locked
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
    """Make the refused and pending deliveries of kept results due, with their attempts reset.

    A series that failed because results were refused is ENCODED again; one whose analysis failed
    stays FAILED, although its notice, or an earlier result, may be delivered.

    Parameters
    ----------
    series, study
        Series or Study Instance UIDs; all series if neither is given.

    Returns
    -------
    Counter
        Series Instance UID and destination to the number of deliveries.
    """
    rows = session.execute(
        select(Delivery.id, Delivery.destination, Result.key, Result.series_instance_uid)
        .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
        .join(Result)
        .join(Series, Series.series_instance_uid == Result.series_instance_uid)
        .where(Delivery.state.in_(RESUMED), Delivery.destination.in_(destinations))
        .where(Result.purged_at.is_(None), chosen_series(series, study))
    ).all()
    for uid, key in sorted({(row.series_instance_uid, row.key) for row in rows}):
        _reopen(session, uid, key, now)
    resumed = session.scalars(
        update(Delivery)
        .where(Delivery.id.in_([row.id for row in rows]), Delivery.state.in_(RESUMED))
        .values(state=DeliveryState.PENDING, next_at=now, first_at=now, attempts=0, reason="")
        .returning(Delivery.id)
    ).all()
    return Counter((row.series_instance_uid, row.destination) for row in rows if row.id in resumed)


def _reopen(session: Session, uid: str, key: str, now: datetime) -> None:
    """Move a series back to ENCODED if it failed because of its deliveries."""
    row = locked(session, uid)
    if row.state is not SeriesState.FAILED or row.result_key != key:
        return
    if row.reason == remarks(session, key, DeliveryState.REFUSED):
        advance(session, uid, old=SeriesState.FAILED, new=SeriesState.ENCODED, now=now)
