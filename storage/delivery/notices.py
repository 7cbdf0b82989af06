"""End series without an analysis, and keep a notice of the reason together with its deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from storage.delivery.outbox import send_again
from storage.delivery.series_completion import Destinations, conclude_begun, record_deliveries
from storage.results.kept_results import NewObject, NewResult, add_result, is_whole
from storage.series.lifecycle import SeriesTicket, leave
from storage.states import SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotice:
    """A notice to be kept, with its objects in the order of sending."""

    result: NewResult
    objects: Sequence[NewObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The end of a series that was not analysed.

    Attributes
    ----------
    state
        UNSUITABLE or FAILED.
    notice
        None if no notice is to be sent.
    """

    state: SeriesState
    reason: str
    notice: NewNotice | None = None


def end_series(
    session: Session,
    ticket: SeriesTicket,
    ending: Ending,
    destinations: Destinations,
    now: datetime,
) -> SeriesState:
    """End a claimed series, and keep its notice together with the deliveries.

    The state of the series does not depend on the deliveries of the notice. A notice that is kept
    already is not kept again; its refused deliveries are tried once more.

    Returns
    -------
    SeriesState
        That of the ending; RECEIVING if an instance has arrived meanwhile: nothing is kept then.

    Raises
    ------
    StaleState
        If the claim no longer holds; nothing is kept.
    """
    state = leave(session, ticket, now, new=ending.state, reason=ending.reason)
    notice = ending.notice
    if state is not ending.state:
        return state
    if notice is None:
        conclude_begun(session, ticket.series_instance_uid, now)
        return state
    if is_whole(session, notice.result.key):
        send_again(session, notice.result.key, now)
    else:
        add_result(session, ticket, notice.result, notice.objects, now)
    record_deliveries(session, notice.result.key, destinations, now)
    conclude_begun(session, ticket.series_instance_uid, now)
    return state
