"""The search in archives for earlier studies of a patient: wanted, fetched, ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from storage.database.schema import Instance, Result, Search, Series
from storage.series.lifecycle import ENDED
from storage.states import SearchState

S = SearchState

FRESH = timedelta(days=1)  #: only what was analysed since is searched for: not a whole archive


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSearch:
    """A search that is to be made.

    Attributes
    ----------
    instances
        How many instances the series has.
    path
        Of one of them, which tells the patient.
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
        The fetched series has a result to compare with.
    useless
        It has come to an end without one, or has not come in time.
    """

    series_instance_uid: str
    attempts: int
    compared: bool
    useless: bool


def enter_searches(session: Session, now: datetime) -> None:
    """Enter a search for every series just analysed that had nothing to be compared with.

    What was itself fetched for a search has none of its own.
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


def due_searches(session: Session, now: datetime) -> list[WantedSearch]:
    """List the searches to be made now, the longest due first."""
    rows = session.execute(
        select(Search, Series)
        .join(Series)
        .where(Search.state == S.WANTED, Search.next_at <= now)
        .order_by(Search.next_at, Search.series_instance_uid)
    )
    found = []
    for search, series in rows:
        path = session.scalar(
            select(Instance.path)
            .where(
                Instance.series_instance_uid == search.series_instance_uid,
                Instance.purged_at.is_(None),
            )
            .limit(1)
        )
        found.append(
            WantedSearch(
                series_instance_uid=search.series_instance_uid,
                attempts=search.attempts,
                instances=series.instances,
                path=path or "",
            )
        )
    return found


def fetched_searches(session: Session, now: datetime) -> list[FetchedSearch]:
    """Look at what became of the series that were fetched."""
    rows = session.execute(
        select(Search, Series, Result)
        .outerjoin(Series, Series.series_instance_uid == Search.fetched_series_uid)
        .outerjoin(Result, Result.key == Series.result_key)
        .where(Search.state == S.FETCHED)
        .order_by(Search.series_instance_uid)
    )
    found = []
    for search, series, result in rows:
        ended = series is not None and series.state in ENDED
        compared = ended and result is not None and result.score is not None
        found.append(
            FetchedSearch(
                series_instance_uid=search.series_instance_uid,
                attempts=search.attempts,
                compared=compared,
                useless=not compared and (ended or search.next_at <= now),
            )
        )
    return found


def enter_fetched(
    session: Session, series_instance_uid: str, study_uid: str, series_uid: str, until: datetime
) -> None:
    """Enter, before it is asked for, which series is fetched: WANTED to FETCHED."""
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
    """Have archives asked again: to WANTED."""
    _move(
        session,
        series_instance_uid,
        state=S.WANTED,
        next_at=at,
        reason=reason,
        attempts=attempts,
    )


def end_search(session: Session, series_instance_uid: str, reason: str) -> None:
    """Search no more."""
    _move(session, series_instance_uid, state=S.ENDED, reason=reason)


def known_series(session: Session, series_instance_uids: list[str]) -> set[str]:
    """Say which of some series have come already."""
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
