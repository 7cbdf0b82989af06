"""Series that end without an analysis: the notice of it is kept with the end, and sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from storage.delivery.conclusion import enter
from storage.delivery.outbox import send_again
from storage.results.rows import NewObject, NewResult, add_result, has_result
from storage.series.lifecycle import SeriesTicket, leave
from storage.states import SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotice:
    """A notice to be kept."""

    result: NewResult
    objects: Sequence[NewObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a series ends that was not analysed.

    Attributes
    ----------
    state
        UNSUITABLE or FAILED.
    notice
        None if nobody is to be told.
    """

    state: SeriesState
    reason: str
    notice: NewNotice | None = None


def end_series(
    session: Session,
    ticket: SeriesTicket,
    ending: Ending,
    destinations: Iterable[str],
    now: datetime,
) -> SeriesState:
    """End a claimed series and keep the notice of it together with the duty to send it.

    The series stays so whatever becomes of the notice. A notice that is kept already is not
    made again; what was refused of it is tried once more.

    Returns
    -------
    SeriesState
        That of the ending; RECEIVING if an instance came meanwhile: then nothing is kept.

    Raises
    ------
    StaleState
        If the claim no longer holds; nothing is kept.
    """
    state = leave(session, ticket, now, new=ending.state, reason=ending.reason)
    notice = ending.notice
    if notice is None or state is not ending.state:
        return state
    if has_result(session, notice.result.key):
        send_again(session, notice.result.key, now)
    else:
        add_result(session, ticket, notice.result, notice.objects, now)
    enter(session, notice.result.key, destinations, now)
    return state
