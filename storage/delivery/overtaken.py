"""End deliveries of results whose place a newer one has taken at a destination already.

It is for destinations that keep the latest report alone: sent after the newer one, an older one
would take its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from storage.database.schema import Delivery, Result, ResultObject, Series
from storage.delivery.outbox import DueDelivery, Settlement, settle
from storage.states import ARRIVED, DeliveryState

OVERTAKEN = "not sent: a newer result has arrived there"


def end_overtaken(
    session: Session, claimed: Sequence[DueDelivery], now: datetime
) -> list[DueDelivery]:
    """Refuse the claimed deliveries that a newer result has overtaken; return the others.

    The result that stands is never overtaken, though it be one of before that counts again.
    """
    newer, newer_object, arrived = aliased(Result), aliased(ResultObject), aliased(Delivery)
    has_arrived = (
        select(arrived.id)
        .join(newer_object, newer_object.sop_instance_uid == arrived.sop_instance_uid)
        .join(newer, newer.key == newer_object.result_key)
        .where(
            newer.series_instance_uid == Result.series_instance_uid,
            or_(newer.revision > Result.revision, newer.key == Series.result_key),
            arrived.destination == Delivery.destination,
            arrived.state.in_({*ARRIVED, DeliveryState.UNCOMMITTED}),
        )
        .correlate(Delivery, Result, Series)
    )
    overtaken = frozenset(
        session.scalars(
            select(Delivery.id)
            .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
            .join(Result, Result.key == ResultObject.result_key)
            .join(Series, Series.series_instance_uid == Result.series_instance_uid)
            .where(Delivery.id.in_([one.id for one in claimed]))
            .where(Series.result_key != Result.key, has_arrived.exists())
        )
    )
    state = DeliveryState.REFUSED
    ended = [Settlement(id=one, state=state, reason=OVERTAKEN) for one in sorted(overtaken)]
    settle(session, ended, now)
    return [one for one in claimed if one.id not in overtaken]
