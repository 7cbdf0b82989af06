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
    """The score of the latest result of a series, and by what it can be chosen.

    None of a notice: the series has no score any more.
    """

    series_instance_uid: str
    last_at: datetime
    calling_ae: str
    scanner: str
    kernel: str
    model: str
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Of which series scores are asked for; empty leaves every one.

    Attributes
    ----------
    since
        Of the latest instance.
    model
        Name and version: scores of different models are not comparable.
    """

    since: datetime
    sender: str = ""
    scanner: str = ""
    kernel: str = ""
    model: str = ""


def stored_scores(session: Session, made_since: datetime) -> list[StoredScore]:
    """List what the latest results of series say that were made since a time."""
    query = (
        select(
            Series.series_instance_uid,
            Series.last_at,
            Series.calling_ae,
            Result.scanner,
            Result.kernel,
            Result.model,
            Result.score,
        )
        .join(
            Series,
            (Series.series_instance_uid == Result.series_instance_uid)
            & (Series.result_key == Result.key),
        )
        .where(Result.created_at >= made_since)
    )
    return [StoredScore(*row) for row in session.execute(query)]


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
