"""Rows of the searches in archives for earlier studies of a patient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from storage.database.schema import Instance, Result, Search, Series
from storage.series.lifecycle import ENDED
from storage.series.priority import CLOCK_BACK
from storage.states import SearchState

S = SearchState

FRESH = timedelta(days=1)  #: age of results that are searched for: not a whole database at once


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSearch:
    """A search that is due.

    Attributes
    ----------
    instances
        Number of instances of the series.
    path
        Path of one of them, to read the patient from; empty if none is kept.
    """

    series_instance_uid: str
    attempts: int
    instances: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedSearch:
    """A search for which a series was fetched.

    Attributes
    ----------
    compared
        Whether the fetched series has a result to compare with.
    useless
        Whether it has ended without one, or has not arrived in time.
    """

    series_instance_uid: str
    attempts: int
    compared: bool
    useless: bool


def record_searches(session: Session, now: datetime) -> None:
    """Record a search for every series just analysed that was compared with no earlier result.

    A series that was itself fetched for a search has none of its own.
    """
    fetched = select(Search.study_instance_uid).where(Search.study_instance_uid != "")
    uids = session.scalars(
        select(Series.series_instance_uid)
        .join(Result, Result.key == Series.result_key)
        .outerjoin(Search, Search.series_instance_uid == Series.series_instance_uid)
        .where(
            Search.series_instance_uid.is_(None),
            Series.state.in_(ENDED),
            Series.patient_key != "",
            Series.study_date != "",
            Series.study_instance_uid.not_in(fetched),
            Result.score.is_not(None),
            Result.priors == 0,
            Result.created_at > now - FRESH,
        )
    ).all()
    session.add_all(Search(series_instance_uid=uid, next_at=now) for uid in uids)
    session.flush()


def due_searches(session: Session, now: datetime, *, longest_wait: timedelta) -> list[WantedSearch]:
    """List the searches that are due, the longest due first.

    One that is due later than after any wait is due as well: the clock was put back.
    """
    is_due = or_(Search.next_at <= now, Search.next_at > now + longest_wait + CLOCK_BACK)
    rows = session.execute(
        select(Search, Series)
        .join(Series)
        .where(Search.state == S.WANTED, is_due)
        .order_by(Search.next_at, Search.series_instance_uid)
    )
    searches = []
    for search, series in rows:
        path = session.scalar(
            select(Instance.path)
            .where(
                Instance.series_instance_uid == search.series_instance_uid,
                Instance.purged_at.is_(None),
            )
            .limit(1)
        )
        searches.append(
            WantedSearch(
                series_instance_uid=search.series_instance_uid,
                attempts=search.attempts,
                instances=series.instances,
                path=path or "",
            )
        )
    return searches


def shorten_waits(session: Session, now: datetime, longest_wait: timedelta) -> None:
    """Await no fetched series longer than `longest_wait` from now: the clock was put back."""
    until = now + longest_wait
    session.execute(
        update(Search)
        .where(Search.state == S.FETCHED, Search.next_at > until + CLOCK_BACK)
        .values(next_at=until)
    )


def fetched_searches(session: Session, now: datetime) -> list[FetchedSearch]:
    """List the searches with a fetched series, and the outcome of its analysis."""
    rows = session.execute(
        select(Search, Series, Result)
        .outerjoin(Series, Series.series_instance_uid == Search.fetched_series_uid)
        .outerjoin(Result, Result.key == Series.result_key)
        .where(Search.state == S.FETCHED)
        .order_by(Search.series_instance_uid)
    )
    searches = []
    for search, series, result in rows:
        ended = series is not None and series.state in ENDED
        compared = ended and result is not None and result.score is not None
        searches.append(
            FetchedSearch(
                series_instance_uid=search.series_instance_uid,
                attempts=search.attempts,
                compared=compared,
                useless=not compared and (ended or search.next_at <= now),
            )
        )
    return searches


def record_fetched(
    session: Session, series_instance_uid: str, study_uid: str, series_uid: str, until: datetime
) -> None:
    """Record the series that is about to be requested: WANTED to FETCHED."""
    _move(
        session,
        series_instance_uid,
        state=S.FETCHED,
        next_at=until,
        study_instance_uid=study_uid,
        fetched_series_uid=series_uid,
        attempts=Search.attempts + 1,
    )


def try_again(
    session: Session, series_instance_uid: str, at: datetime, reason: str, *, attempts: int
) -> None:
    """Have archives asked again at a time: to WANTED."""
    _move(
        session,
        series_instance_uid,
        state=S.WANTED,
        next_at=at,
        reason=reason,
        attempts=attempts,
    )


def end_search(session: Session, series_instance_uid: str, reason: str) -> None:
    """End a search: to ENDED, with the reason."""
    _move(session, series_instance_uid, state=S.ENDED, reason=reason)


def known_series(session: Session, series_instance_uids: list[str]) -> set[str]:
    """List those of some series that were received already."""
    return set(
        session.scalars(
            select(Series.series_instance_uid).where(
                Series.series_instance_uid.in_(series_instance_uids)
            )
        )
    )


def _move(session: Session, series_instance_uid: str, **values: object) -> None:
    session.execute(
        update(Search).where(Search.series_instance_uid == series_instance_uid).values(**values)
    )
