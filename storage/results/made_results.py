"""List the results that were made, and keep records of those whose rows are erased."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Select, exists, select, true, tuple_
from sqlalchemy.orm import Session, aliased

from storage.database.batches import batched
from storage.database.schema import Result, Series
from storage.database.watch_tables import ErasedResult, SeriesEquipment


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeResult:
    """One whole result; attributes as in `Result`, `Series` and `SeriesEquipment`.

    Attributes
    ----------
    is_latest
        No other result of the series has taken its place.
    scanner_model
        Model of the scanner; as its maker, its software and its kernel empty where not known.
    """

    key: str
    series_instance_uid: str
    study_instance_uid: str
    patient_key: str
    study_date: str
    created_at: datetime
    revision: int
    is_latest: bool
    model: str
    score: float
    positive: bool | None
    summary: str
    manufacturer: str
    scanner_model: str
    software: str
    kernel: str


class Place(NamedTuple):
    """The place of a result in the list of all: what follows it is listed next."""

    created_at: datetime
    key: str


def made_results(
    session: Session, limit: int, *, since: datetime | None = None, after: Place | None = None
) -> list[MadeResult]:
    """List results of analyses, the first first; without notices, and what is only begun.

    Parameters
    ----------
    since
        Those made since then; None for all.
    after
        The place behind which to go on.
    """
    at = Result.created_at
    return _listed(
        session,
        _results()
        .where(at >= since if since else true())
        .where(tuple_(at, Result.key) > tuple_(*after) if after else true())
        .order_by(at, Result.key)
        .limit(limit),
    )


def made_results_of(session: Session, series: Sequence[str]) -> list[MadeResult]:
    """List the results of some series."""
    return [
        result
        for batch in batched(series)
        for result in _listed(session, _results().where(Result.series_instance_uid.in_(batch)))
    ]


def _results() -> Select[Result, Series, SeriesEquipment | None, bool]:
    later = aliased(Result)
    has_later = exists().where(
        later.series_instance_uid == Result.series_instance_uid,
        later.revision > Result.revision,
        later.score.is_not(None),
        later.begun_on == "",
    )
    uid = Result.series_instance_uid
    return (
        select(Result, Series, SeriesEquipment, has_later)
        .join(Series, Series.series_instance_uid == uid)
        .outerjoin(SeriesEquipment, SeriesEquipment.series_instance_uid == uid)
        .where(Result.score.is_not(None), Result.begun_on == "")
    )


def _listed(
    session: Session, query: Select[Result, Series, SeriesEquipment | None, bool]
) -> list[MadeResult]:
    return [
        MadeResult(
            key=result.key,
            series_instance_uid=series.series_instance_uid,
            study_instance_uid=series.study_instance_uid,
            patient_key=series.patient_key,
            study_date=series.study_date,
            created_at=result.created_at,
            revision=result.revision,
            is_latest=not has_later,
            model=result.model,
            score=result.score or 0.0,
            positive=result.positive,
            summary=result.summary,
            manufacturer=made_by.manufacturer if made_by else "",
            scanner_model=made_by.model if made_by else "",
            software=made_by.software if made_by else "",
            kernel=made_by.kernel if made_by else result.kernel,
        )
        for result, series, made_by, has_later in session.execute(query)
    ]


def keep_erased(session: Session, records: Collection[tuple[str, str, str]]) -> None:
    """Keep records of results whose rows are about to be erased: number, month, JSON text."""
    session.add_all(
        ErasedResult(id=number, month=month, record=record) for number, month, record in records
    )
    session.flush()


def erased_records(
    session: Session, limit: int, *, since: str = "", after: str = ""
) -> list[tuple[str, str]]:
    """List records of erased results by their numbers, which are in no order.

    Parameters
    ----------
    since
        Month in which they were made, YYYY-MM, from which on; empty for all.
    after
        Number behind which to go on.
    """
    rows = session.execute(
        select(ErasedResult.id, ErasedResult.record)
        .where(ErasedResult.id > after, ErasedResult.month >= since)
        .order_by(ErasedResult.id)
        .limit(limit)
    )
    return [(number, record) for number, record in rows]
