"""Request and start reruns of series that have ended.

A rerun is requested by a mark on the series row, so that the node need not run, and so that no
crash loses it: the mark is cleared in the transaction that keeps the outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.database.schema import Result, Series
from storage.errors import StaleState
from storage.series.lifecycle import (
    ENDED,
    SeriesTicket,
    chosen_series,
    locked,
    reprocess,
    ticket_of,
)
from storage.states import Rerun, SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedSeries:
    """A series and its latest result, before a rerun.

    Attributes
    ----------
    folder
        Folder of the latest result; None if there is none.
    analysed
        Whether that result is an analysis of the instances in use: neither a notice nor of an
        earlier generation.
    """

    series_instance_uid: str
    state: SeriesState
    folder: str | None
    analysed: bool


def ended_series(
    session: Session, *, series: Sequence[str] = (), study: str | None = None
) -> list[EndedSeries]:
    """List series by their UIDs, those of a study, or all; in order of reception."""
    rows = session.execute(
        select(Series, Result)
        .outerjoin(Result, Result.key == Series.result_key)
        .where(chosen_series(series, study))
        .order_by(Series.first_at, Series.series_instance_uid)
    )
    return [
        EndedSeries(
            series_instance_uid=row.series_instance_uid,
            state=row.state,
            folder=result.folder if result else None,
            analysed=result is not None
            and result.score is not None
            and result.generation == row.generation,
        )
        for row, result in rows
    ]


def mark_for_rerun(session: Session, series_instance_uid: str, rerun: Rerun) -> None:
    """Request a rerun of a series that has ended; it replaces an earlier request.

    Raises
    ------
    StorageError
        If there is no such series.
    StaleState
        If the series has not ended: a result follows anyhow.
    """
    row = locked(session, series_instance_uid)
    if row.state not in ENDED:
        raise StaleState(f"expected a series that has ended, {series_instance_uid} is {row.state}")
    row.rerun = rerun
    session.flush()


def prospective_ticket(session: Session, series_instance_uid: str) -> SeriesTicket:
    """Build the ticket that a series would have, without claiming it."""
    return ticket_of(session, session.get_one(Series, series_instance_uid))


def start_reruns(session: Session, now: datetime) -> list[str]:
    """Move every series with a requested rerun to STABLE; return their UIDs."""
    uids = session.scalars(
        select(Series.series_instance_uid)
        .where(Series.rerun.is_not(None), Series.state.in_(ENDED))
        .order_by(Series.series_instance_uid)
    ).all()
    for uid in uids:
        reprocess(session, uid, now)
    return list(uids)
