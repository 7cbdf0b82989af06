"""Pause destinations and resume them; what waits for a paused one stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, PausedDestination
from storage.states import DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A destination that gets nothing until somebody resumes it.

    Attributes
    ----------
    by
        Who has paused it.
    """

    destination: str
    at: datetime
    by: str


def pause(session: Session, destination: str, *, by: str, now: datetime) -> bool:
    """Pause a destination; False if it is paused already."""
    if session.get(PausedDestination, destination) is not None:
        return False
    session.add(PausedDestination(destination=destination, by=by, at=now))
    session.flush()
    return True


def resume(session: Session, destination: str, now: datetime) -> bool:
    """Resume a destination; False if it is not paused.

    All that waits for it is due at once, and has all its tries again: those of before the pause
    say nothing of the destination as it is now.
    """
    ended = session.execute(
        delete(PausedDestination)
        .where(PausedDestination.destination == destination)
        .returning(PausedDestination.destination)
    )
    if ended.first() is None:
        return False
    session.execute(
        update(Delivery)
        .where(Delivery.destination == destination, Delivery.state == DeliveryState.PENDING)
        .values(attempts=0, next_at=now)
    )
    return True


def is_paused(session: Session, destination: str) -> bool:
    """Say whether a destination is paused."""
    column = PausedDestination.destination
    return session.scalar(select(column).where(column == destination)) is not None


def pauses(session: Session) -> dict[str, Pause]:
    """List the destinations that are paused, by name."""
    rows = session.scalars(select(PausedDestination).order_by(PausedDestination.destination))
    return {
        row.destination: Pause(destination=row.destination, at=row.at, by=row.by) for row in rows
    }
