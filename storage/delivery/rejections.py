"""Find the results that new ones supersede at a destination, and hold the notes of that off.

A rejection note is for one destination, whose earlier results it names. It is sent when all else
of its result has arrived there, and not at all where some of that was refused: the earlier
results are all that the destination has then.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import Session, aliased

from storage.database.schema import Delivery, Result, ResultObject
from storage.results.condensed_objects import unpack_uids
from storage.states import ARRIVED, UNDER_WAY, DeliveryState

NOT_ALL_ARRIVED = "held off: not all of the new results have arrived"
HELD = UNDER_WAY | {DeliveryState.DECLINED}
SENT = ARRIVED | UNDER_WAY  #: what is under way arrives before a newer result


@dataclass(frozen=True, slots=True, kw_only=True)
class SentObject:
    """An object of an earlier result that a destination has, or is about to have."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


def sent_before(
    session: Session, series_instance_uid: str, destination: str, *, begun: str = ""
) -> list[SentObject]:
    """List the objects of the results of a series that a destination has, notes left out.

    Those that a note which has arrived there named before are left out as well, and those of the
    result that was begun, by its key: it is the new one.
    """
    there = (
        Result.series_instance_uid == series_instance_uid,
        Result.key != begun,
        Delivery.destination == destination,
    )
    noted = session.scalar(
        select(func.max(Result.revision))
        .join(ResultObject)
        .join(Delivery)
        .where(*there, ResultObject.only_for != "", Delivery.state.in_(ARRIVED))
    )
    rows = session.scalars(
        select(ResultObject)
        .join(Result)
        .join(Delivery)
        .where(*there, ResultObject.only_for == "", Delivery.state.in_(SENT))
        .where(Result.revision >= (noted or 0))
        .order_by(Result.revision, ResultObject.position)
    )
    return [
        SentObject(
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=uid,
            series_instance_uid=row.series_instance_uid,
        )
        for row in rows
        for uid in (row.sop_instance_uid, *unpack_uids(row.further))
    ]


def is_held_off(destination: str) -> ColumnElement[bool]:
    """Build the condition of a note for a destination that has not all else of its result yet.

    It is of the row of `ResultObject` that a statement looks at: notes are few, and not to be
    searched for among all objects.
    """
    other, delivery = aliased(ResultObject), aliased(Delivery)
    others = (
        select(delivery.id)
        .join(other, other.sop_instance_uid == delivery.sop_instance_uid)
        .where(
            other.result_key == ResultObject.result_key,
            other.only_for == "",
            delivery.destination == destination,
            delivery.state.in_(HELD),
        )
        .correlate(ResultObject)
    )
    return and_(ResultObject.only_for == destination, others.exists())


def withhold_notes(session: Session, key: str) -> None:
    """End the notes of a result that are not to be sent: some of the result was refused there."""
    refused = (
        select(Delivery.destination)
        .join(ResultObject)
        .where(
            ResultObject.result_key == key,
            ResultObject.only_for == "",
            Delivery.state == DeliveryState.REFUSED,
        )
    )
    notes = select(ResultObject.sop_instance_uid).where(
        ResultObject.result_key == key, ResultObject.only_for != ""
    )
    session.execute(
        update(Delivery)
        .where(
            Delivery.sop_instance_uid.in_(notes),
            Delivery.destination.in_(refused),
            Delivery.state == DeliveryState.PENDING,
        )
        .values(state=DeliveryState.REFUSED, reason=NOT_ALL_ARRIVED)
    )
