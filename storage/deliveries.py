"""The deliveries of one result, as a whole: how they begin, and how they end its series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.schema import Delivery, Result, ResultObject
from storage.series import advance, locked
from storage.states import UNDER_WAY, DeliveryState, SeriesState


def enter(session: Session, key: str, destinations: Iterable[str], now: datetime) -> SeriesState:
    """Make every delivery of a result that is not there yet; return where its series stands."""
    result = session.get_one(Result, key)
    locked(session, result.series_instance_uid).result_key = key
    for destination in sorted(set(destinations)):
        there = select(Delivery.sop_instance_uid).where(Delivery.destination == destination)
        missing = session.scalars(
            select(ResultObject.sop_instance_uid)
            .where(ResultObject.result_key == key, ResultObject.sop_instance_uid.not_in(there))
            .order_by(ResultObject.position)
        ).all()
        session.add_all(
            Delivery(sop_instance_uid=uid, destination=destination, first_at=now, next_at=now)
            for uid in missing
        )
    session.flush()
    return conclude(session, key, now)[1]


def conclude(session: Session, key: str, now: datetime) -> tuple[str, SeriesState]:
    """End the series of a result if nothing of it is under way; return where it stands."""
    series = locked(session, session.get_one(Result, key).series_instance_uid)
    uid = series.series_instance_uid
    if series.state is not SeriesState.ENCODED or series.result_key != key:
        return uid, series.state
    deliveries = session.scalars(
        select(Delivery)
        .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
        .where(ResultObject.result_key == key)
    ).all()
    if any(each.state in UNDER_WAY for each in deliveries):
        return uid, SeriesState.ENCODED
    reason = _refusals(each for each in deliveries if each.state is DeliveryState.REFUSED)
    new = SeriesState.FAILED if reason else SeriesState.DELIVERED
    advance(session, uid, old=SeriesState.ENCODED, new=new, now=now, reason=reason)
    return uid, new


def _refusals(refused: Iterable[Delivery]) -> str:
    """Say in one line who refused how many objects, and why; empty if nobody did."""
    counts = Counter((each.destination, each.reason) for each in refused)
    return "; ".join(
        f"{destination} refused {count} object{'' if count == 1 else 's'}: {reason}"
        for (destination, reason), count in sorted(counts.items())
    )
