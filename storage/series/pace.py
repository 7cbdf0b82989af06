"""Pace of the analyses: time from one result to the next while series wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, exists, select
from sqlalchemy.orm import Session, aliased

from storage.database.schema import Closing, Result, Series

LATEST = 20  #: results that the pace is taken from

Analysis = tuple[datetime, datetime]  #: when a series was closed, and when its results were kept


def latest_analyses(session: Session, since: datetime) -> list[Analysis]:
    """List the analyses of the series received last, since a time, in the order of their ends.

    A result that was made again, on request, is left out: its series was closed long before.
    """
    closing = and_(
        Closing.series_instance_uid == Result.series_instance_uid,
        Closing.generation == Result.generation,
    )
    earlier = aliased(Result)
    is_made_again = exists().where(
        earlier.series_instance_uid == Result.series_instance_uid,
        earlier.generation == Result.generation,
        earlier.revision < Result.revision,
    )
    rows = session.execute(
        select(Closing.closed_at, Result.created_at)
        .select_from(Result)
        .join(Series, Series.result_key == Result.key)
        .join(Closing, closing)
        .where(Result.score.is_not(None), Series.last_at >= since, ~is_made_again)
        .order_by(Series.last_at.desc())
        .limit(LATEST)
    )
    analyses = [(closed_at, created_at) for closed_at, created_at in rows]
    return sorted(analyses, key=lambda analysis: analysis[1])


def seconds_each(analyses: Sequence[Analysis]) -> float | None:
    """Seconds from one result to the next while series waited; None if nothing was analysed.

    While another analysis ran, a series is worked on only from its end on: so the mean holds for
    any number of workers.

    Parameters
    ----------
    analyses
        The oldest first.
    """
    spans, ended = list[float](), None
    for closed_at, created_at in analyses:
        begun = max(closed_at, ended or closed_at)
        spans.append(max((created_at - begun).total_seconds(), 0.0))
        ended = created_at
    return sum(spans) / len(spans) if spans else None
