"""Wishes of a person: a series that has ended is to be worked on once more.

A wish is a mark on the series, so that it can be made whether the node runs or not, and so that
no crash loses it: it goes in the transaction that keeps what came of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, true
from sqlalchemy.orm import Session

from storage.database.schema import Result, Series
from storage.errors import StaleState
from storage.series.lifecycle import ENDED, SeriesTicket, locked, reprocess, ticket_of
from storage.states import Rerun, SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedSeries:
    """A series as one who has a wish sees it.

    Attributes
    ----------
    folder
        Of the latest result; None if there is none.
    analysed
        Whether that is an analysis of the instances in use: neither a notice nor one of an
        earlier generation.
    """

    series_instance_uid: str
    state: SeriesState
    folder: str | None
    analysed: bool


def ended_series(
    session: Session, *, series: Sequence[str] = (), study: str | None = None
) -> list[EndedSeries]:
    """Look at series by their UIDs, at those of a study, or at all; in the order they came."""
    rows = session.execute(
        select(Series, Result)
        .outerjoin(Result, Result.key == Series.result_key)
        .where(_chosen(series, study))
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


def _chosen(series: Sequence[str], study: str | None) -> ColumnElement[bool]:
    if series:
        return Series.series_instance_uid.in_(series)
    return true() if study is None else Series.study_instance_uid == study


def mark_for_rerun(session: Session, series_instance_uid: str, wish: Rerun) -> None:
    """Mark a series that has ended; a wish takes the place of an earlier one.

    Raises
    ------
    StorageError
        If there is no such series.
    StaleState
        If the series is on its way to a result anyhow.
    """
    row = locked(session, series_instance_uid)
    if row.state not in ENDED:
        raise StaleState(f"expected a series that has ended, {series_instance_uid} is {row.state}")
    row.wish = wish
    session.flush()


def prospective_ticket(session: Session, series_instance_uid: str) -> SeriesTicket:
    """Say what the ticket of a series would be; it is not claimed by that."""
    return ticket_of(session, session.get_one(Series, series_instance_uid))


def start_reruns(session: Session, now: datetime) -> list[str]:
    """Have every wish claimed as work: to STABLE; return the UIDs of the series."""
    uids = session.scalars(
        select(Series.series_instance_uid)
        .where(Series.wish.is_not(None), Series.state.in_(ENDED))
        .order_by(Series.series_instance_uid)
    ).all()
    for uid in uids:
        reprocess(session, uid, now)
    return list(uids)
