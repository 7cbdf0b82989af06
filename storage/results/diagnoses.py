"""Find the results that a final diagnosis is about, by accession number, study or series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.database.batches import batched
from storage.database.schema import Result, ResultObject, Series

COLUMNS = {
    "accession": Series.accession_key,
    "study_instance_uid": Series.study_instance_uid,
    "series_instance_uid": Series.series_instance_uid,
}
"""Columns by which a series is named; of accession numbers the keyed digest is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSeries:
    """A series with the latest result of it that has a score.

    Attributes
    ----------
    objects
        Series Instance UIDs of the objects of the result that every destination gets.
    calling_ae
        Empty: a diagnosis has no sender.
    """

    series_instance_uid: str
    study_instance_uid: str
    result_key: str
    positive: bool | None
    objects: tuple[str, ...] = ()
    calling_ae: str = ""


def scored_series(
    session: Session, column: str, values: Collection[str]
) -> dict[str, list[ScoredSeries]]:
    """Find series with a score by the values of a column (a key of `COLUMNS`)."""
    found: dict[str, list[ScoredSeries]] = defaultdict(list)
    wanted = COLUMNS[column]
    for batch in batched(sorted({*values} - {""})):
        rows = session.execute(
            select(wanted, Series.series_instance_uid, Series.study_instance_uid, Result)
            .join(Result, Result.key == Series.result_key)
            .where(wanted.in_(batch), Result.score.is_not(None))
            .order_by(Series.series_instance_uid)
        ).all()
        objects = _objects(session, [result.key for *_, result in rows])
        for value, series, study, result in rows:
            found[value].append(
                ScoredSeries(
                    series_instance_uid=series,
                    study_instance_uid=study,
                    result_key=result.key,
                    positive=result.positive,
                    objects=tuple(sorted(objects[result.key])),
                )
            )
    return found


def _objects(session: Session, keys: Collection[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for batch in batched(sorted(keys)):
        rows = session.execute(
            select(ResultObject.result_key, ResultObject.series_instance_uid)
            .where(ResultObject.result_key.in_(batch), ResultObject.only_for == "")
            .distinct()
        )
        for key, series in rows:
            found[key].add(series)
    return found
