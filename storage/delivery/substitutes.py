"""What stands for a result object that a destination does not take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, ResultObject
from storage.database.sessions import Substitutes, substitutes_of
from storage.states import ARRIVED, UNDER_WAY, DeliveryState


def stand_in(substitutes: Substitutes, kind: str, arrived: Collection[str]) -> str | None:
    """Choose the kind that stands for an object; None if nothing that arrived does."""
    return next((other for other in substitutes.get(kind, ()) if other in arrived), None)


def wholly_arrived(deliveries: Iterable[tuple[str, DeliveryState]]) -> set[str]:
    """Name the kinds of which every object has arrived, of kind and state of each object."""
    states = defaultdict(set)
    for kind, state in deliveries:
        states[kind].add(state)
    return {kind for kind, found in states.items() if found <= ARRIVED}


def replace_declined(session: Session, key: str) -> None:
    """End what destinations declined of a result: REPLACED where something stands for it.

    Else it is REFUSED. Nothing is decided for a destination that is still to get an object.
    """
    of_result = (
        select(Delivery.destination).join(ResultObject).where(ResultObject.result_key == key)
    )
    waiting = of_result.where(Delivery.state.in_(UNDER_WAY))
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
    """Move one delivery from DECLINED to where it ends."""
    values: dict[str, object] = {"state": DeliveryState.REFUSED}
    if other:
        said = f"{reason}; the {other.replace('-', ' ')} says it"
        values = {"state": DeliveryState.REPLACED, "reason": said}
    session.execute(
        update(Delivery)
        .where(Delivery.id == delivery, Delivery.state == DeliveryState.DECLINED)
        .values(values)
    )
