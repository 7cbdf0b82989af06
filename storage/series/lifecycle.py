"""Change the state of series: close, claim, leave, reopen; all by :func:`advance`.

All functions work in the caller's transaction. A series row is locked before it is read, so that
it cannot change between the decision and the update.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from storage.database.schema import Closing, Instance, Series
from storage.database.self_test_series import is_of_self_test, of_patients
from storage.database.sessions import holder_of
from storage.errors import StaleState, StorageError
from storage.series.condensed.rows import count_condensed
from storage.series.priority import next_in_queue
from storage.states import SERIES_STEPS, Rerun, SeriesState

S = SeriesState

ENDED = frozenset({S.ENCODED, S.DELIVERED, S.UNSUITABLE, S.FAILED, S.FEEDBACK})
"""May be rerun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSeries:
    """A series that is still being received, as last read."""

    series_instance_uid: str
    generation: int
    instances: int
    calling_ae: str
    last_at: datetime
    study_instance_uid: str = ""
    study_date: str = ""
    of_self_test: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesTicket:
    """The right to analyse one generation of a series, once.

    Attributes
    ----------
    sop_instance_uids, digests, paths
        One entry per instance in use that is kept, in the order of the UIDs.
    calling_ae
        Sender of the latest instance.
    attempts
        1 for the first try of this generation.
    predecessor_key
        The latest result of the series, if any: this analysis may supersede it.
    rerun
        The rerun that an operator has requested; None for an analysis that follows reception.
    purged
        Number of instances in use whose files were removed.
    urgent
        An instance was urgent.
    closed_by
        As in :class:`storage.database.schema.Closing`; empty if that is not known.
    of_documents
        It holds documents, no images.
    of_self_test
        It is of no patient, and nothing of it leaves the node.
    """

    series_instance_uid: str
    study_instance_uid: str
    generation: int
    attempts: int
    calling_ae: str
    sop_instance_uids: tuple[str, ...]
    digests: tuple[str, ...]
    paths: tuple[str, ...]
    predecessor_key: str | None
    rerun: Rerun | None = None
    purged: int = 0
    urgent: bool = False
    closed_by: str = ""
    of_documents: bool = False
    of_self_test: bool = False


def advance(
    session: Session,
    series_instance_uid: str,
    *,
    old: SeriesState,
    new: SeriesState,
    now: datetime,
    reason: str = "",
) -> None:
    """Move a series from `old` to `new`, if it still is in `old`: the only writer of the state.

    Raises
    ------
    ValueError
        If `SERIES_STEPS` has no such step (a bug of the caller).
    StaleState
        If another process moved the series first.
    """
    if new not in SERIES_STEPS[old]:
        raise ValueError(f"no step from {old} to {new}")
    uid = session.scalar(
        update(Series)
        .where(Series.series_instance_uid == series_instance_uid, Series.state == old)
        .values(state=new, since=now, reason=reason, not_before=None)
        .returning(Series.series_instance_uid)
    )
    if uid is None:
        raise StaleState(f"expected series {series_instance_uid} to be {old}, it no longer is")


def locked(session: Session, series_instance_uid: str) -> Series:
    """Fetch the current row of a series, locked against changes by others.

    Raises
    ------
    StorageError
        If there is no such series.
    """
    row = session.get(Series, series_instance_uid, with_for_update=True, populate_existing=True)
    if row is None:
        raise StorageError(f"expected a series, none has the UID {series_instance_uid}")
    return row


def reopen(session: Session, row: Series, now: datetime) -> None:
    """Move a series back to RECEIVING, as its next generation: an instance arrived after closing.

    This fulfils a requested rerun: the whole series is analysed, with the present settings.
    """
    advance(session, row.series_instance_uid, old=row.state, new=S.RECEIVING, now=now)
    row.generation += 1
    row.attempts = 0
    row.reopened = False
    row.rerun = None
    session.flush()


def receiving(session: Session) -> list[OpenSeries]:
    """List the series that are still being received, the longest quiet first."""
    rows = session.execute(
        select(Series, of_patients()).where(Series.state == S.RECEIVING).order_by(Series.last_at)
    )
    return [
        OpenSeries(
            series_instance_uid=row.series_instance_uid,
            generation=row.generation,
            instances=row.instances,
            calling_ae=row.calling_ae,
            last_at=row.last_at,
            study_instance_uid=row.study_instance_uid,
            study_date=row.study_date,
            of_self_test=not is_of_patient,
        )
        for row, is_of_patient in rows
    ]


def close(session: Session, series: OpenSeries, now: datetime) -> None:
    """Declare a series complete: RECEIVING to STABLE.

    Raises
    ------
    StaleState
        If an instance has arrived since `series` was read, or it is closed already.
    """
    row = locked(session, series.series_instance_uid)
    if (row.generation, row.instances, row.last_at) != (
        series.generation,
        series.instances,
        series.last_at,
    ):
        raise StaleState(f"series {series.series_instance_uid} has changed since it was quiet")
    advance(session, series.series_instance_uid, old=S.RECEIVING, new=S.STABLE, now=now)


def claim_next(
    session: Session,
    now: datetime,
    urgent_aes: Set[str] = frozenset(),
    *,
    documents_only: bool = False,
) -> SeriesTicket | None:
    """Claim the next STABLE series in the queue (`storage.series.priority`), if there is one."""
    uid = next_in_queue(session, now, urgent_aes, documents_only=documents_only)
    if uid is None:
        return None
    advance(session, uid, old=S.STABLE, new=S.ANALYSING, now=now)
    row = locked(session, uid)
    row.attempts += 1
    row.holder = holder_of(session)
    session.flush()
    return ticket_of(session, row)


def chosen_series(series: Sequence[str], study: str | None) -> ColumnElement[bool]:
    """Build the condition for some series of patients, else for those of a study, else for all."""
    if series:
        return and_(Series.series_instance_uid.in_(series), of_patients())
    return of_patients() if study is None else Series.study_instance_uid == study


def ticket_of(session: Session, row: Series) -> SeriesTicket:
    """Build the ticket of a series from its row; valid only once the series is claimed."""
    in_use = session.scalars(
        select(Instance)
        .where(Instance.series_instance_uid == row.series_instance_uid, ~Instance.superseded)
        .order_by(Instance.sop_instance_uid)
    ).all()
    kept = [instance for instance in in_use if instance.purged_at is None]
    return SeriesTicket(
        series_instance_uid=row.series_instance_uid,
        study_instance_uid=row.study_instance_uid,
        generation=row.generation,
        attempts=row.attempts,
        calling_ae=row.calling_ae,
        sop_instance_uids=tuple(instance.sop_instance_uid for instance in kept),
        digests=tuple(instance.digest for instance in kept),
        paths=tuple(instance.path for instance in kept),
        predecessor_key=row.result_key,
        rerun=row.rerun,
        purged=len(in_use) - len(kept) + count_condensed(session, row.series_instance_uid),
        urgent=row.urgent,
        closed_by=_closed_by(session, row),
        of_documents=row.of_documents,
        of_self_test=is_of_self_test(session, row.series_instance_uid),
    )


def _closed_by(session: Session, row: Series) -> str:
    closing = session.get(Closing, (row.series_instance_uid, row.generation))
    return "" if closing is None else closing.closed_by


def give_back(
    session: Session,
    ticket: SeriesTicket,
    now: datetime,
    *,
    reason: str = "",
    not_before: datetime | None = None,
    counted: bool = True,
) -> SeriesState:
    """Return a claim unused, or after an attempt that may be repeated: to STABLE.

    Parameters
    ----------
    not_before
        When the series may be claimed again; None for at once.
    counted
        Whether the attempt stays counted: not if it cannot be the fault of the series.

    Returns and raises as :func:`leave`.
    """
    state = leave(session, ticket, now, new=S.STABLE, reason=reason, not_before=not_before)
    if state is S.STABLE and not counted:
        locked(session, ticket.series_instance_uid).attempts -= 1
        session.flush()
    return state


def leave(
    session: Session,
    ticket: SeriesTicket,
    now: datetime,
    *,
    new: SeriesState,
    reason: str = "",
    not_before: datetime | None = None,
) -> SeriesState:
    """Move a claimed series out of ANALYSING; at an end, a requested rerun is fulfilled.

    Returns
    -------
    SeriesState
        `new`; or RECEIVING if an instance has arrived meanwhile: the next generation follows.

    Raises
    ------
    StaleState
        If the claim no longer holds (the series was recovered, and perhaps claimed anew).
    """
    row = locked(session, ticket.series_instance_uid)
    current, claimed = _claim(row), (S.ANALYSING, ticket.generation, ticket.attempts)
    if current != claimed:
        raise StaleState(f"series {ticket.series_instance_uid}: expected {claimed}, got {current}")
    if row.reopened:
        reopen(session, row, now)
        return S.RECEIVING
    advance(session, ticket.series_instance_uid, old=S.ANALYSING, new=new, now=now, reason=reason)
    row.not_before = not_before
    if new in ENDED:
        row.rerun = None
    session.flush()
    return new


def holds(session: Session, ticket: SeriesTicket) -> bool:
    """Say whether a claim still holds, and nothing has arrived since; lock the series."""
    row = locked(session, ticket.series_instance_uid)
    return not row.reopened and _claim(row) == (
        S.ANALYSING,
        ticket.generation,
        ticket.attempts,
    )


def _claim(row: Series) -> tuple[SeriesState, int, int]:
    return row.state, row.generation, row.attempts


def reprocess(session: Session, series_instance_uid: str, now: datetime) -> None:
    """Move a series that has ended to STABLE, on an operator's request, to be analysed again.

    Raises
    ------
    StorageError
        If there is no such series.
    StaleState
        If the series has not ended, and is to be analysed anyhow.
    """
    row = locked(session, series_instance_uid)
    if row.state not in ENDED:
        raise StaleState(f"expected a series that has ended, {series_instance_uid} is {row.state}")
    advance(session, series_instance_uid, old=row.state, new=S.STABLE, now=now)
    row.attempts = 0
    session.flush()
