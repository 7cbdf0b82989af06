"""Order the queue of STABLE series: urgent ones first, without starvation of the others.

A series waits from the time at which it was closed. An urgent one counts as closed earlier, one
that was tried before, or whose rerun was requested, as closed later; the earliest comes first.
So a series is overtaken only by series that are closed within a fixed time after it, however
many they are. One whose attempt failed waits besides, until the time that its row names.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, true
from sqlalchemy.orm import Session

from storage.database.schema import Series
from storage.database.watch_tables import STOP, is_held
from storage.states import SeriesState

URGENT_AHEAD = timedelta(minutes=30)  #: an urgent series overtakes series that wait for less
TRIED_BEHIND = timedelta(minutes=10)  #: for each attempt: a series that fails again delays no other
RERUN_BEHIND = timedelta(hours=2)  #: reruns may be requested of hundreds of series at once
CLOCK_BACK = timedelta(minutes=1)  #: a time recorded that far ahead shows a clock set back
FOR_EVER = timedelta(days=36500)  #: longer than any wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A series that waits for its analysis.

    Attributes
    ----------
    since
        When it was closed, or its claim given back.
    attempts
        Attempts so far.
    urgent
        Whether its sender or its order is urgent.
    rerun_requested
        Whether an operator has requested a rerun.
    """

    since: datetime
    attempts: int = 0
    urgent: bool = False
    rerun_requested: bool = False


def queue_position(waiting: Waiting) -> datetime:
    """Compute the time from which a series counts as waiting; the earliest is next."""
    return (
        waiting.since
        - URGENT_AHEAD * waiting.urgent
        + TRIED_BEHIND * waiting.attempts
        + RERUN_BEHIND * waiting.rerun_requested
    )


def next_in_queue(
    session: Session,
    now: datetime,
    urgent_aes: Set[str] = frozenset(),
    *,
    documents_only: bool = False,
) -> str | None:
    """Lock the next series in the queue, past those that another process has locked.

    A series that was given back in the future waits no longer: the clock was put back.

    Parameters
    ----------
    urgent_aes
        AE titles of senders all of whose series are urgent.
    documents_only
        Whether series of images are passed over.

    Returns
    -------
    str or None
        Its Series Instance UID; None if no series is waiting.
    """
    due = or_(
        Series.not_before.is_(None), Series.not_before <= now, Series.since > now + CLOCK_BACK
    )
    rows = session.scalars(
        select(Series).where(
            Series.state == SeriesState.STABLE,
            due,
            ~is_held(STOP),
            Series.of_documents if documents_only else true(),
        )
    ).all()
    waiting = {row.series_instance_uid: queue_position(_waiting(row, urgent_aes)) for row in rows}
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
        rerun_requested=row.rerun is not None,
    )
