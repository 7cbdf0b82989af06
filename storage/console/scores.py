"""Scores of series for a trial of another threshold; they outlive the files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, select, true
from sqlalchemy.orm import Session

from storage.database.schema import Result, Series


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCase:
    """A series with its latest score."""

    series_instance_uid: str
    study_instance_uid: str
    calling_ae: str
    last_at: datetime
    score: float


def scores(session: Session, since: datetime, *, sender: str = "") -> list[float]:
    """List the latest scores of the series since a time, of one sender if it is named."""
    query = select(Result.score).join(Series, Series.result_key == Result.key)
    rows = session.scalars(query.where(_condition(since, sender)))
    return [score for score in rows if score is not None]


def cases_between(
    session: Session, since: datetime, low: float, high: float, limit: int, *, sender: str = ""
) -> list[ScoredCase]:
    """List the series since a time whose score is above `low`, and `high` at most.

    The latest first.
    """
    columns = (Series.series_instance_uid, Series.study_instance_uid, Series.calling_ae)
    query = select(*columns, Series.last_at, Result.score).join(
        Result, Series.result_key == Result.key
    )
    query = query.where(_condition(since, sender), Result.score > low, Result.score <= high)
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


def _condition(since: datetime, sender: str) -> ColumnElement[bool]:
    of_sender = Series.calling_ae == sender if sender else true()
    return and_(Series.last_at >= since, of_sender, Result.score.is_not(None))
