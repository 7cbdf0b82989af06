"""End declined deliveries: as replaced where a substitute has arrived, else as refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, ResultObject
from storage.database.sessions import Substitutes, substitutes_of
from storage.states import ARRIVED, UNDER_WAY, DeliveryState


def stand_in(substitutes: Substitutes, kind: str, arrived: Collection[str]) -> str | None:
    """Choose the best substitute of a kind among those that arrived; None if none did."""
    return next((other for other in substitutes.get(kind, ()) if other in arrived), None)


def wholly_arrived(deliveries: Iterable[tuple[str, DeliveryState]]) -> set[str]:
    """Kinds of which every object has arrived.

    Parameters
    ----------
    deliveries
        Kind and state, one pair for an object.
    """
    states_of = defaultdict(set)
    for kind, state in deliveries:
        states_of[kind].add(state)
    return {kind for kind, states in states_of.items() if states <= ARRIVED}


def replace_declined(session: Session, key: str) -> None:
    """Settle the declined deliveries of a result: REPLACED where a substitute arrived.

    Else they are REFUSED. A destination that is still to get an object of the result stays
    undecided: the substitute may be among what is to come.
    """
    of_result = (
        select(Delivery.destination).join(ResultObject).where(ResultObject.result_key == key)
    )
    waiting = of_result.where(Delivery.state.in_(UNDER_WAY), ResultObject.only_for == "")
    undecided = of_result.where(
        Delivery.state == DeliveryState.DECLINED, Delivery.destination.not_in(waiting)
    )
    for destination in session.scalars(undecided.distinct()).all():
        rows = session.execute(
            select(ResultObject.kind, Delivery.state, Delivery.id, Delivery.reason)
            .join(Delivery)
            .where(ResultObject.result_key == key, Delivery.destination == destination)
        ).all()
        arrived = wholly_arrived((kind, state) for kind, state, _, _ in rows)
        for kind, state, delivery, reason in rows:
            if state is DeliveryState.DECLINED:
                _end(session, delivery, reason, stand_in(substitutes_of(session), kind, arrived))


def _end(session: Session, delivery: int, reason: str, other: str | None) -> None:
    """Move one delivery from DECLINED to its final state."""
    values: dict[str, object] = {"state": DeliveryState.REFUSED}
    if other:
        replaced = f"{reason}; the {other.replace('-', ' ')} says it"
        values = {"state": DeliveryState.REPLACED, "reason": replaced}
    session.execute(
        update(Delivery)
        .where(Delivery.id == delivery, Delivery.state == DeliveryState.DECLINED)
        .values(values)
    )
