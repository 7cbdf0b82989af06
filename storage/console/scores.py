"""Scores of series for a trial of another threshold; they outlive the files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from storage.console.worklist import distinct_values
from storage.database.schema import Result, Series


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCase:
    """A series with its latest score."""

    series_instance_uid: str
    study_instance_uid: str
    calling_ae: str
    last_at: datetime
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Of which series scores are asked for; empty leaves every one.

    Attributes
    ----------
    since
        Of the latest instance.
    """

    since: datetime
    sender: str = ""
    scanner: str = ""
    kernel: str = ""


def scores(session: Session, choice: Choice) -> list[float]:
    """List the latest scores of series."""
    query = select(Result.score).join(Series, Series.result_key == Result.key)
    return [score for score in session.scalars(query.where(_of(choice))) if score is not None]


def first_score(session: Session) -> datetime | None:
    """Tell when the first series came that has a score now; None if none has."""
    query = select(Series.last_at).join(Result, Series.result_key == Result.key)
    return session.scalar(query.where(Result.score.is_not(None)).order_by(Series.last_at).limit(1))


def cases_between(
    session: Session, choice: Choice, low: float, high: float, limit: int
) -> list[ScoredCase]:
    """List the series whose score is above `low`, and `high` at most; the latest first."""
    columns = (Series.series_instance_uid, Series.study_instance_uid, Series.calling_ae)
    query = select(*columns, Series.last_at, Result.score).join(
        Result, Series.result_key == Result.key
    )
    query = query.where(_of(choice), Result.score > low, Result.score <= high)
    rows = session.execute(query.order_by(Series.last_at.desc()).limit(limit))
    return [
        ScoredCase(
            series_instance_uid=uid,
            study_instance_uid=study,
            calling_ae=title,
            last_at=last_at,
            score=score,
        )
        for uid, study, title, last_at, score in rows
        if score is not None
    ]


def scanners(session: Session) -> list[str]:
    """List the scanners of which results are."""
    return distinct_values(session, Result.scanner)


def kernels(session: Session) -> list[str]:
    """List the kernels of which results are."""
    return distinct_values(session, Result.kernel)


def _of(choice: Choice) -> ColumnElement[bool]:
    equal = (
        (Series.calling_ae, choice.sender),
        (Result.scanner, choice.scanner),
        (Result.kernel, choice.kernel),
    )
    return and_(
        Series.last_at >= choice.since,
        Result.score.is_not(None),
        *(column == value for column, value in equal if value),
    )
