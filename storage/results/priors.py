"""Find earlier results: of the same series, and of earlier studies of the same patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, or_, select
from sqlalchemy.orm import Session

from storage.database.schema import Result, ResultObject, Series
from storage.results.answers import are_images_rejected
from storage.results.kept_results import KeptReport, report_of


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPrior:
    """The result of an earlier study.

    Attributes
    ----------
    study_date
        DICOM DA.
    summary
        As in :class:`storage.database.schema.Result`.
    """

    study_instance_uid: str
    study_date: str
    model: str
    summary: str
    report: KeptReport


def inputs_so_far(session: Session, series_instance_uid: str) -> tuple[str, ...]:
    """List the inputs of all results of a series, the latest last; empty of one not yet whole."""
    of_series = Result.series_instance_uid == series_instance_uid
    inputs = case((Result.begun_on == "", Result.inputs), else_="")
    return tuple(session.scalars(select(inputs).where(of_series).order_by(Result.revision)))


def own_instances(session: Session, sop_instance_uids: Sequence[str]) -> set[str]:
    """Find the instances that are results of this node."""
    uid = ResultObject.sop_instance_uid
    return set(session.scalars(select(uid).where(uid.in_(sop_instance_uids))))


def is_own(session: Session, series_instance_uid: str, sop_instance_uids: Sequence[str]) -> bool:
    """Tell whether a series holds results of this node that were sent back to it."""
    same = or_(
        ResultObject.series_instance_uid == series_instance_uid,
        ResultObject.sop_instance_uid.in_(sop_instance_uids),
    )
    return session.scalar(select(ResultObject.sop_instance_uid).where(same).limit(1)) is not None


def priors(
    session: Session, series_instance_uid: str, limit: int, report_kinds: Sequence[str]
) -> list[KeptPrior]:
    """Find the results of earlier studies of the same patient, the latest study first.

    A study is earlier by Study Date, on the same day by Study Time. Of a study with several
    series, the one with the most instances counts; of equals, the one with the latest result.
    Without patient or date there is nothing to compare; patients whose birth dates are known
    and differ are two, whatever their ID. Images that a document rejects may be of another patient:
    their results are left out.

    Parameters
    ----------
    limit
        Number of studies at most.
    report_kinds
        Kinds of object that stand for a result, as in `report_of`; results without one are
        left out.
    """
    here = session.get(Series, series_instance_uid)
    if here is None or not here.patient_key or not here.study_date:
        return []
    rows = session.execute(
        select(Series, Result)
        .join(Result, Result.key == Series.result_key)
        .where(_same_patient(here), _earlier(here), Result.score.is_not(None))
        .order_by(
            Series.study_date.desc(),
            Series.study_time.desc(),
            Series.study_instance_uid,
            Series.instances.desc(),
            Result.created_at.desc(),
        )
    )
    found: dict[str, KeptPrior] = {}
    for series, result in rows:
        if len(found) == limit:
            break
        if series.study_instance_uid in found:
            continue
        if not are_images_rejected(session, series.series_instance_uid):
            found |= _prior(session, series, result, report_kinds)
    return list(found.values())


def _same_patient(here: Series) -> ColumnElement[bool]:
    same = Series.patient_key == here.patient_key
    if not here.birth_digest:
        return same
    return and_(same, Series.birth_digest.in_(("", here.birth_digest)))


def _earlier(here: Series) -> ColumnElement[bool]:
    return and_(
        Series.study_instance_uid != here.study_instance_uid,
        Series.study_date != "",
        or_(
            Series.study_date < here.study_date,
            and_(Series.study_date == here.study_date, Series.study_time < here.study_time),
        ),
    )


def _prior(
    session: Session, series: Series, result: Result, report_kinds: Sequence[str]
) -> dict[str, KeptPrior]:
    """Prior by its Study Instance UID; empty if the result has no report."""
    report = report_of(session, result.key, report_kinds)
    if report is None:
        return {}
    prior = KeptPrior(
        study_instance_uid=series.study_instance_uid,
        study_date=series.study_date,
        model=result.model,
        summary=result.summary,
        report=report,
    )
    return {prior.study_instance_uid: prior}
