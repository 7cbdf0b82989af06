"""Record the deliveries of a result, and end its series when all of them have ended."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import and_, func, select, true
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, Result, ResultObject
from storage.delivery.rejections import withhold_notes
from storage.delivery.substitutes import replace_declined
from storage.results.condensed_objects import NUMBER
from storage.series.lifecycle import advance, locked
from storage.states import ARRIVED, UNDER_WAY, DeliveryState, SeriesState

UNDECIDED = frozenset({SeriesState.STABLE, SeriesState.ANALYSING})
"""States of a series of which a result that was begun may be completed."""


Destinations = Iterable[str] | Mapping[str, Collection[str]]
"""Names of who gets a result; of each the kinds of object that it gets, empty for all."""


def record_deliveries(
    session: Session,
    key: str,
    destinations: Destinations,
    now: datetime,
    *,
    again: bool = False,
) -> SeriesState:
    """Record the deliveries of a result to destinations without one; return the series' state.

    A purged result gets none: it has no files left to send.

    Parameters
    ----------
    again
        As in :class:`storage.database.schema.Delivery`.
    """
    result = session.get_one(Result, key)
    kinds = destinations if isinstance(destinations, Mapping) else {}
    locked(session, result.series_instance_uid).result_key = key
    for destination in sorted(set(destinations)) if result.purged_at is None else ():
        session.add_all(
            Delivery(
                sop_instance_uid=uid,
                destination=destination,
                first_at=now,
                next_at=now,
                again=again,
            )
            for uid in _missing(session, key, destination, kinds.get(destination, ()))
        )
    session.flush()
    return conclude(session, key, now)[1]


def conclude(session: Session, key: str, now: datetime) -> tuple[str, SeriesState]:
    """End the series of a result if none of its deliveries is under way; return UID and state."""
    result = session.get_one(Result, key)
    series = locked(session, result.series_instance_uid)
    uid = series.series_instance_uid
    if result.begun_on and series.result_key == key and series.state in UNDECIDED:
        return uid, series.state  # what is to come may stand for what was declined
    replace_declined(session, key)
    withhold_notes(session, key)
    if series.state is not SeriesState.ENCODED or series.result_key != key:
        return uid, series.state
    of_result = select(Delivery.id).join(ResultObject).where(ResultObject.result_key == key)
    if session.scalar(select(of_result.where(Delivery.state.in_(UNDER_WAY)).exists())):
        return uid, SeriesState.ENCODED
    reason = remarks(session, key, DeliveryState.REFUSED)
    new = SeriesState.FAILED if reason else SeriesState.DELIVERED
    reason = reason or remarks(session, key, DeliveryState.ACCEPTED)
    advance(session, uid, old=SeriesState.ENCODED, new=new, now=now, reason=reason)
    return uid, new


def conclude_begun(session: Session, series_instance_uid: str, now: datetime) -> None:
    """Settle what was declined of results that were begun, and are not to be completed."""
    begun = select(Result.key).where(
        Result.series_instance_uid == series_instance_uid, Result.begun_on != ""
    )
    for key in session.scalars(begun).all():
        conclude(session, key, now)


def has_arrived(session: Session, destination: str, keys: Iterable[str]) -> bool:
    """Say whether any object of some results has arrived at a destination."""
    arrived = (
        select(Delivery.id)
        .join(ResultObject)
        .where(
            Delivery.destination == destination,
            Delivery.state.in_({*ARRIVED, DeliveryState.UNCOMMITTED}),
            ResultObject.result_key.in_(keys),
        )
    )
    return bool(session.scalar(select(arrived.exists())))


def _missing(session: Session, key: str, destination: str, kinds: Collection[str]) -> Sequence[str]:
    """List the objects of a result, or of kinds alone, without a delivery to a destination."""
    same = and_(
        Delivery.sop_instance_uid == ResultObject.sop_instance_uid,
        Delivery.destination == destination,
    )
    return session.scalars(
        select(ResultObject.sop_instance_uid)
        .outerjoin(Delivery, same)
        .where(ResultObject.result_key == key, Delivery.id.is_(None))
        .where(ResultObject.only_for.in_(("", destination)))
        .where(ResultObject.kind.in_(kinds) if kinds else true())
        .order_by(ResultObject.position)
    ).all()


def remarks(session: Session, key: str, state: DeliveryState) -> str:
    """Describe in one line the deliveries in a state, by destination and reason; empty if none."""
    group = (Delivery.destination, Delivery.reason)
    remarked = true() if state is DeliveryState.REFUSED else Delivery.reason != ""
    rows = session.execute(
        select(*group, func.sum(NUMBER))
        .join(ResultObject)
        .where(ResultObject.result_key == key, Delivery.state == state, remarked)
        .group_by(*group)
        .order_by(*group)
    )
    return "; ".join(
        f"{destination} {state} {count} object{'' if count == 1 else 's'}: {reason}"
        for destination, reason, count in rows
    )
