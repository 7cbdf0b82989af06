"""Scores of series for a trial of another threshold; they outlive the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
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


class StoredScore(NamedTuple):
    """The latest score of a series, and by what it can be chosen."""

    series_instance_uid: str
    last_at: datetime
    calling_ae: str
    scanner: str
    kernel: str
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


def stored_scores(session: Session, made_since: datetime) -> list[StoredScore]:
    """List the latest scores of series that were made since a time."""
    query = (
        select(
            Series.series_instance_uid,
            Series.last_at,
            Series.calling_ae,
            Result.scanner,
            Result.kernel,
            Result.score,
        )
        .join(
            Series,
            (Series.series_instance_uid == Result.series_instance_uid)
            & (Series.result_key == Result.key),
        )
        .where(Result.created_at >= made_since, Result.score.is_not(None))
    )
    return [StoredScore(*row) for row in session.execute(query)]  # type: ignore[arg-type]  # no score is None


def first_score(session: Session) -> datetime | None:
    """Tell when the first series came that has a score now; None if none has."""
    query = select(Series.last_at).join(Result, Series.result_key == Result.key)
    return session.scalar(query.where(Result.score.is_not(None)).order_by(Series.last_at).limit(1))


def cases_of(session: Session, series: Sequence[str]) -> list[ScoredCase]:
    """Give some series with their latest scores; the latest first."""
    columns = (Series.series_instance_uid, Series.study_instance_uid, Series.calling_ae)
    rows = session.execute(
        select(*columns, Series.last_at, Result.score)
        .join(Result, Series.result_key == Result.key)
        .where(Series.series_instance_uid.in_(series))
        .order_by(Series.last_at.desc())
    )
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
