"""Figures of a second model beside results: the next series it may analyse, and what it found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session, aliased

from storage.database.schema import Result, Series
from storage.database.self_test_series import of_patients
from storage.database.watch_tables import ShadowResult
from storage.series.slices import HeldSlice, held_slices
from storage.states import SeriesState

NOTHING_UNDER_WAY = (SeriesState.DELIVERED, SeriesState.FAILED)  #: every result has left, or not


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSeries:
    """A series that a second model may analyse.

    Attributes
    ----------
    result_key, folder
        Of its latest result, which has left.
    instances
        Those in use, whose files are kept.
    """

    series_instance_uid: str
    result_key: str
    folder: str
    instances: tuple[HeldSlice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewShadow:
    """What a second model found; attributes as in `storage.database.watch_tables.ShadowResult`."""

    model: str
    manifest_sha256: str
    software: str = ""
    score: float | None = None
    opacities_ml: float | None = None
    lungs_ml: float | None = None
    opacities_of_result_ml: float | None = None
    lungs_of_result_ml: float | None = None
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowPair:
    """Figures of two models in one series; attributes as in the two tables.

    Attributes
    ----------
    patient
        Digest, or the series where the patient is not known.
    score, scanner
        Of the result.
    second
        What the second model found.
    """

    series_instance_uid: str
    patient: str
    result_key: str
    at: datetime
    score: float
    scanner: str
    second: NewShadow


def next_for_shadow(session: Session, manifest_sha256: str, since: datetime) -> ShadowSeries | None:
    """Find the series with the latest result since a time that a model has not seen beside it."""
    row = session.execute(
        select(Series.series_instance_uid, Result.key, Result.folder)
        .join(Result, Result.key == Series.result_key)
        .where(*_waits(manifest_sha256, since))
        .order_by(Result.created_at.desc(), Result.key)
        .limit(1)
    ).first()
    if row is None:
        return None
    uid, key, folder = row
    return ShadowSeries(
        series_instance_uid=uid,
        result_key=key,
        folder=folder,
        instances=held_slices(session, uid),
    )


def count_waiting(session: Session, manifest_sha256: str, since: datetime) -> int:
    """Count the series that a model may still analyse."""
    query = (
        select(func.count())
        .select_from(Series)
        .join(Result, Result.key == Series.result_key)
        .where(*_waits(manifest_sha256, since))
    )
    return session.scalar(query) or 0


def _waits(manifest_sha256: str, since: datetime) -> tuple[ColumnElement[bool], ...]:
    other = aliased(Result)  # of the same images, and the same: a reissue is nothing new
    seen = (
        select(ShadowResult.id)
        .join(other, other.key == ShadowResult.result_key)
        .where(
            ShadowResult.series_instance_uid == Series.series_instance_uid,
            ShadowResult.manifest_sha256 == manifest_sha256,
            other.generation == Series.generation,
            other.model == Result.model,
        )
        .correlate(Series, Result)
        .exists()
    )
    return (
        Result.purged_at.is_(None),
        Result.created_at >= since,
        Result.score.is_not(None),
        Result.begun_on == "",
        Result.generation == Series.generation,
        Series.state.in_(NOTHING_UNDER_WAY),
        of_patients(),
        ~seen,
    )


def enter_shadow(session: Session, series: ShadowSeries, found: NewShadow, now: datetime) -> bool:
    """Enter what a second model found; False if the result was erased meanwhile, or has one."""
    key = series.result_key
    known = exists().where(
        ShadowResult.result_key == key, ShadowResult.manifest_sha256 == found.manifest_sha256
    )
    if session.get(Result, key) is None or session.scalar(select(known)):
        return False
    uid = series.series_instance_uid
    session.add(ShadowResult(result_key=key, series_instance_uid=uid, at=now, **asdict(found)))
    session.flush()
    return True


def shadow_pairs(
    session: Session, model: str, manifest_sha256: str, since: datetime
) -> list[ShadowPair]:
    """List the pairs of two models since a time, the first first; of a series the latest.

    Parameters
    ----------
    model
        Name and version of the one that made the results.
    manifest_sha256
        Of the second one.
    """
    rows = session.execute(
        select(ShadowResult, Result.score, Result.scanner, Series.patient_key)
        .join(Result, Result.key == ShadowResult.result_key)
        .join(Series, Series.series_instance_uid == ShadowResult.series_instance_uid)
        .where(
            ShadowResult.manifest_sha256 == manifest_sha256,
            ShadowResult.at >= since,
            Result.model == model,
            Result.score.is_not(None),
        )
        .order_by(ShadowResult.id)
    )
    latest: dict[str, ShadowPair] = {}
    for row, score, scanner, patient_key in rows:
        if score is None:
            continue
        latest.pop(row.series_instance_uid, None)
        latest[row.series_instance_uid] = ShadowPair(
            series_instance_uid=row.series_instance_uid,
            patient=patient_key or row.series_instance_uid,
            result_key=row.result_key,
            at=row.at,
            score=score,
            scanner=scanner,
            second=NewShadow(**{name: getattr(row, name) for name in NewShadow.__slots__}),
        )
    return list(latest.values())
