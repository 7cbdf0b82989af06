"""Whose turn it is: urgent series first, and nobody is left waiting.

A series waits from the moment at which it was closed. An urgent one counts as if it had been
closed earlier, one that was tried before or that a person wants worked on again as if later; the
earliest comes first. So a series is overtaken only by what comes within a fixed time after it,
however much that is, and then it is its turn.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.database.schema import Series
from storage.states import SeriesState

URGENT_AHEAD = timedelta(minutes=30)  #: an urgent series overtakes what waits for less
TRIED_BEHIND = timedelta(minutes=10)  #: for each try: what fails again keeps nobody waiting
WISHED_BEHIND = timedelta(hours=2)  #: wishes may be for hundreds of series at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A series that waits for its analysis.

    Attributes
    ----------
    since
        When it was closed, or given back.
    attempts
        Tries so far.
    urgent
        Whether its sender, or its order, says that it is.
    wished
        Whether a person wants it worked on again.
    """

    since: datetime
    attempts: int = 0
    urgent: bool = False
    wished: bool = False


def turn(waiting: Waiting) -> datetime:
    """Say from when on a series counts as waiting; the earliest is next."""
    return (
        waiting.since
        - URGENT_AHEAD * waiting.urgent
        + TRIED_BEHIND * waiting.attempts
        + WISHED_BEHIND * waiting.wished
    )


def take_turn(session: Session, urgent_aes: Set[str] = frozenset()) -> str | None:
    """Lock the series whose turn it is, past those that somebody else has locked.

    Parameters
    ----------
    urgent_aes
        Senders all of whose series are urgent.

    Returns
    -------
    str or None
        Its UID; None if no series is waiting.
    """
    rows = session.scalars(select(Series).where(Series.state == SeriesState.STABLE)).all()
    waiting = {row.series_instance_uid: turn(_waiting(row, urgent_aes)) for row in rows}
    for uid in sorted(waiting, key=lambda uid: (waiting[uid], uid)):
        free = select(Series.series_instance_uid).where(
            Series.series_instance_uid == uid, Series.state == SeriesState.STABLE
        )
        if session.scalar(free.with_for_update(skip_locked=True)):
            return uid
    return None


def _waiting(row: Series, urgent_aes: Set[str]) -> Waiting:
    return Waiting(
        since=row.since,
        attempts=row.attempts,
        urgent=row.urgent or row.calling_ae in urgent_aes,
        wished=row.wish is not None,
    )
