"""Signed reports of studies: enter them, find the results they are about, forget them.

A report may come before the results, or about a study that never comes: its rows stand by
themselves, and are matched with series whenever they are read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, exists, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from storage.database.batches import batched
from storage.database.report_tables import SignedReportRow, SignedReportSubject
from storage.database.schema import Result, Series

FOUND_BY: tuple[InstrumentedAttribute[str], ...] = (Series.study_instance_uid, Series.accession_key)

STATUS_ORDER = "FCX"  #: final, corrected, canceled: of equal times the last goes before the others
MOST_OF_STUDY = 20  #: reports of a study that are kept, of different orders


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReport:
    """A report; attributes as in :class:`storage.database.report_tables.SignedReportRow`.

    Attributes
    ----------
    subjects
        By what its study is found.
    """

    order_key: str
    reference: str
    status: str
    diagnosis: str
    pneumonia: str
    covid_19: str
    subjects: tuple[str, ...]
    patient_digests: tuple[str, ...]
    birth_digest: str
    reported_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedSeries:
    """A report, and a series of its study with the latest result of it that has a score.

    Attributes
    ----------
    of_other_patient
        The report names another patient than the images.
    """

    order_key: str
    reference: str
    diagnosis: str
    pneumonia: str
    covid_19: str
    reported_at: datetime
    received_at: datetime
    of_other_patient: bool
    study_instance_uid: str
    series_instance_uid: str
    calling_ae: str
    result_key: str
    revision: int
    model: str
    score: float
    positive: bool | None
    scanner: str


def enter_report(session: Session, report: NewReport) -> bool:
    """Enter a report in place of an earlier one of its order; False if a later one is known.

    At equal times a cancellation goes before a correction, and that before a final report; else
    the last one that came counts. What comes again changes nothing.
    """
    known = session.scalar(
        select(SignedReportRow)
        .where(SignedReportRow.order_key == report.order_key)
        .with_for_update()
    )
    if known is not None and _place(known) > _place(report):
        return False
    row = known or SignedReportRow(order_key=report.order_key)
    if row.reference != report.reference or row.reported_at != report.reported_at:
        row.received_at = report.received_at
    row.reference, row.status = report.reference, report.status
    row.diagnosis = report.diagnosis
    row.pneumonia, row.covid_19 = report.pneumonia, report.covid_19
    row.patient_digests = " ".join(report.patient_digests)
    row.birth_digest = report.birth_digest
    row.reported_at = report.reported_at
    session.add(row)
    session.flush()
    session.execute(delete(SignedReportSubject).where(SignedReportSubject.report_id == row.id))
    values = sorted({*report.subjects} - {""})
    session.add_all(SignedReportSubject(report_id=row.id, value=value) for value in values)
    session.flush()
    _forget_oldest(session, values)
    return True


def _place(report: NewReport | SignedReportRow) -> tuple[datetime, int]:
    return report.reported_at, STATUS_ORDER.index(report.status)


def _forget_oldest(session: Session, values: Collection[str]) -> None:
    """Delete the oldest reports of a study that is here, beyond a number."""
    here = {
        value
        for column in FOUND_BY
        for value in session.scalars(select(column).where(column.in_(values)).distinct())
    }
    for value in sorted(here):
        oldest = (
            select(SignedReportRow.id)
            .join(SignedReportSubject, SignedReportSubject.report_id == SignedReportRow.id)
            .where(SignedReportSubject.value == value)
            .order_by(SignedReportRow.received_at.desc(), SignedReportRow.id.desc())
            .offset(MOST_OF_STUDY)
        )
        _delete(session, session.scalars(oldest).all())


def reports_of_series(session: Session, series: Collection[str] | None) -> list[ReportedSeries]:
    """Find what reports say of some series with a score, or of all; the earliest first."""
    if series is None:
        return _with_series(session, _saying(session, [true()]))
    values = {
        value
        for batch in batched(sorted(series))
        for row in session.execute(select(*FOUND_BY).where(Series.series_instance_uid.in_(batch)))
        for value in row
        if value
    }
    ids = {
        one
        for batch in batched(sorted(values))
        for one in session.scalars(
            select(SignedReportSubject.report_id).where(SignedReportSubject.value.in_(batch))
        )
    }
    reports = _saying(session, [SignedReportRow.id.in_(batch) for batch in batched(sorted(ids))])
    chosen = {*series}
    return [one for one in _with_series(session, reports) if one.series_instance_uid in chosen]


def reports_since(session: Session, since: datetime, *, sender: str = "") -> list[ReportedSeries]:
    """Find what reports received since a time say, of series of one sender if it is named."""
    reports = _saying(session, [SignedReportRow.received_at >= since])
    return [one for one in _with_series(session, reports) if sender in {"", one.calling_ae}]


def _saying(session: Session, conditions: Iterable[ColumnElement[bool]]) -> list[SignedReportRow]:
    """List the reports that say something, and fulfil one of some conditions."""
    says = SignedReportRow.diagnosis != ""
    return [
        row
        for condition in conditions
        for row in session.scalars(select(SignedReportRow).where(says, condition))
    ]


def _with_series(session: Session, reports: Iterable[SignedReportRow]) -> list[ReportedSeries]:
    """Match reports with the series of their studies.

    Step by step, by lists: joined at once a database may begin with all series.
    """
    by_id = {report.id: report for report in reports}
    about: dict[str, list[SignedReportRow]] = defaultdict(list)
    for batch in batched(sorted(by_id)):
        rows = session.execute(
            select(SignedReportSubject.value, SignedReportSubject.report_id).where(
                SignedReportSubject.report_id.in_(batch)
            )
        )
        for value, number in rows:
            about[value].append(by_id[number])
    found = {
        (report.id, series.series_instance_uid): _reported(report, series, result)
        for column in FOUND_BY
        for batch in batched(sorted(about))
        for value, series, result in session.execute(
            select(column, Series, Result)
            .join(Result, Result.key == Series.result_key)
            .where(column.in_(batch), Result.score.is_not(None))
        )
        for report in about[value]
    }
    return sorted(found.values(), key=lambda one: (one.reported_at, one.order_key))


def _reported(report: SignedReportRow, series: Series, result: Result) -> ReportedSeries:
    return ReportedSeries(
        order_key=report.order_key,
        reference=report.reference,
        diagnosis=report.diagnosis,
        pneumonia=report.pneumonia,
        covid_19=report.covid_19,
        reported_at=report.reported_at,
        received_at=report.received_at,
        of_other_patient=_of_other_patient(report, series),
        study_instance_uid=series.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
        calling_ae=series.calling_ae,
        result_key=result.key,
        revision=result.revision,
        model=result.model,
        score=result.score or 0.0,
        positive=result.positive,
        scanner=result.scanner,
    )


def _of_other_patient(report: SignedReportRow, series: Series) -> bool:
    """Say whether a report and a series name two patients; what is not known does not differ."""
    numbers = report.patient_digests.split()
    other_number = bool(numbers and series.patient_digest) and series.patient_digest not in numbers
    dates = {report.birth_digest, series.birth_digest} - {""}
    return other_number or len(dates) > 1


def forget_unknown(session: Session, before: datetime, most: int) -> int:
    """Delete reports about studies that are not here: of before a time, and beyond a number.

    Returns
    -------
    int
        How many; of those beyond the number the oldest go.
    """
    row, subject = SignedReportRow, SignedReportSubject
    known = [
        exists()
        .where(subject.report_id == row.id, column == subject.value)
        .correlate(SignedReportRow)
        for column in FOUND_BY
    ]
    unknown = select(row.id).where(*(~one for one in known))
    old = session.scalars(unknown.where(row.received_at < before)).all()
    beyond = session.scalars(
        unknown.where(row.received_at >= before)
        .order_by(row.received_at.desc(), row.id.desc())
        .offset(most)
    ).all()
    return _delete(session, [*old, *beyond])


def erase_reports(session: Session, series_instance_uid: str) -> None:
    """Delete the reports of the study of a series of which nothing else is here."""
    series = session.get(Series, series_instance_uid)
    if series is None:
        return
    values = {getattr(series, column.key) for column in FOUND_BY} - {""}
    about = select(SignedReportSubject.report_id).where(SignedReportSubject.value.in_(values))
    subject = SignedReportSubject
    has_others = or_(
        *(
            exists().where(
                subject.report_id == SignedReportRow.id,
                column == subject.value,
                Series.series_instance_uid != series_instance_uid,
            )
            for column in FOUND_BY
        )
    )
    alone = select(SignedReportRow.id).where(SignedReportRow.id.in_(about), ~has_others)
    _delete(session, session.scalars(alone).all())


def _delete(session: Session, ids: Collection[int]) -> int:
    for batch in batched(sorted(ids)):
        session.execute(delete(SignedReportSubject).where(SignedReportSubject.report_id.in_(batch)))
        session.execute(delete(SignedReportRow).where(SignedReportRow.id.in_(batch)))
    session.flush()
    return len(ids)
