"""Everything that is known of one series, for its page in the console."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.console.worklist import Filter, Line, worklist
from storage.database.schema import Closing, Delivery, Instance, Result, ResultObject, Series
from storage.results.answers import AnswerLine, answers_to
from storage.results.condensed_objects import NUMBER
from storage.series.condensed.rows import count_condensed
from storage.states import DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingLine:
    """How a generation of the series was taken for complete; attributes as in `Closing`."""

    generation: int
    closed_by: str
    instances: int
    waited_seconds: float
    closed_at: datetime
    late_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLine:
    """A result of the series; attributes as in `Result`."""

    key: str
    generation: int
    revision: int
    created_at: datetime
    model: str
    score: float | None
    positive: bool | None
    folder: str
    purged_at: datetime | None
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLine:
    """The objects of one kind at one destination, in one state.

    Attributes
    ----------
    attempts
        Highest number of attempts of one of them.
    next_at
        Earliest time of the next try.
    """

    destination: str
    kind: str
    state: DeliveryState
    reason: str
    objects: int
    attempts: int
    next_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPage:
    """A series with what became of it.

    Attributes
    ----------
    closings
        The latest first.
    results
        The latest first; its first, if any, is what `deliveries` are of.
    purged
        Whether files of its instances were removed.
    image
        Path of one kept instance; None if none is kept.
    """

    line: Line
    closings: tuple[ClosingLine, ...]
    results: tuple[ResultLine, ...]
    deliveries: tuple[DeliveryLine, ...]
    answers: tuple[AnswerLine, ...]
    purged: bool
    image: str | None


def series_page(session: Session, series_instance_uid: str) -> SeriesPage | None:
    """Find everything about a series; None if there is none of this UID."""
    lines = worklist(session, Filter(series=(series_instance_uid,)), 1)
    if not lines:
        return None
    results = _results(session, series_instance_uid)
    kept, purged = session.execute(
        select(
            func.min(Instance.path).filter(Instance.purged_at.is_(None), ~Instance.superseded),
            func.count(Instance.purged_at),
        ).where(Instance.series_instance_uid == series_instance_uid)
    ).one()
    return SeriesPage(
        line=lines[0],
        closings=_closings(session, series_instance_uid),
        results=results,
        deliveries=_deliveries(session, results[0].key) if results else (),
        answers=tuple(answers_to(session, [series_instance_uid])),
        purged=purged > 0 or count_condensed(session, series_instance_uid) > 0,
        image=kept,
    )


def kept_images(session: Session, series_instance_uid: str) -> list[tuple[str, str, str]]:
    """List SOP Instance UID, digest and path of the instances in use of a series that are kept."""
    return [
        (uid, digest, path)
        for uid, digest, path in session.execute(
            select(Instance.sop_instance_uid, Instance.digest, Instance.path)
            .where(
                Instance.series_instance_uid == series_instance_uid,
                ~Instance.superseded,
                Instance.purged_at.is_(None),
            )
            .order_by(Instance.sop_instance_uid)
        )
    ]


def one_image_each(session: Session, series: Sequence[str]) -> dict[str, str]:
    """Find the path of one kept instance of each of some series, those without one left out."""
    path = (
        select(Instance.path)
        .where(
            Instance.series_instance_uid == Series.series_instance_uid,
            ~Instance.superseded,
            Instance.purged_at.is_(None),
        )
        .limit(1)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Series.series_instance_uid, path).where(Series.series_instance_uid.in_(series))
    )
    return {uid: found for uid, found in rows if found is not None}


def result_series(session: Session, result_key: str) -> list[str]:
    """List the Series Instance UIDs of the objects of a result that every destination gets."""
    rows = session.scalars(
        select(ResultObject.series_instance_uid)
        .where(ResultObject.result_key == result_key, ResultObject.only_for == "")
        .distinct()
        .order_by(ResultObject.series_instance_uid)
    )
    return list(rows)


def _closings(session: Session, series_instance_uid: str) -> tuple[ClosingLine, ...]:
    rows = session.scalars(
        select(Closing)
        .where(Closing.series_instance_uid == series_instance_uid)
        .order_by(Closing.generation.desc())
    )
    return tuple(
        ClosingLine(
            generation=row.generation,
            closed_by=row.closed_by,
            instances=row.instances,
            waited_seconds=row.waited_seconds,
            closed_at=row.closed_at,
            late_at=row.late_at,
        )
        for row in rows
    )


def _results(session: Session, series_instance_uid: str) -> tuple[ResultLine, ...]:
    rows = session.scalars(
        select(Result)
        .where(Result.series_instance_uid == series_instance_uid)
        .order_by(Result.revision.desc())
    )
    return tuple(
        ResultLine(
            key=row.key,
            generation=row.generation,
            revision=row.revision,
            created_at=row.created_at,
            model=row.model,
            score=row.score,
            positive=row.positive,
            folder=row.folder,
            purged_at=row.purged_at,
            summary=json.loads(row.summary),
        )
        for row in rows
    )


def _deliveries(session: Session, result_key: str) -> tuple[DeliveryLine, ...]:
    group = (Delivery.destination, ResultObject.kind, Delivery.state, Delivery.reason)
    rows = session.execute(
        select(*group, func.sum(NUMBER), func.max(Delivery.attempts), func.min(Delivery.next_at))
        .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
        .where(ResultObject.result_key == result_key)
        .group_by(*group)
        .order_by(Delivery.destination, func.min(ResultObject.position))
    )
    return tuple(
        DeliveryLine(
            destination=destination,
            kind=kind,
            state=state,
            reason=reason,
            objects=count,
            attempts=attempts,
            next_at=next_at,
        )
        for destination, kind, state, reason, count, attempts, next_at in rows
    )
