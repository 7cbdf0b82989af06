"""Find what readers answer to results.

A document may name objects that are not known here, not yet or not any more: answers are kept
with the UIDs they name, and matched with results and series whenever they are read. One of
another patient or study than what it names does not count, and says so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, and_, func, literal, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from storage.database.batches import batched
from storage.database.schema import (
    Feedback,
    FeedbackSubject,
    Instance,
    Result,
    ResultObject,
    Series,
)
from storage.results.feedback import REJECTED
from storage.results.signed_reports import ReportedSeries, reports_of_series, reports_since

Row = TypeVar("Row", Series, Result, Feedback)
Key = TypeVar("Key", str, int)

PATIENT, STUDY = "patient", "study"  #: what a document and a result may not have in common
REPORT = "99REPORT"  #: scheme of the reasons of answers that are signed reports
REPORT_BY = "signed report"  #: their role
ACCEPTED, UNCLEAR, POSITIVE = (
    "accepted",
    "unclear",
    "positive",
)  #: as `pipeline.feedback.answers` has them


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLine:
    """One answer to one result, or to the images of a series.

    Attributes
    ----------
    result_key, revision
        Of the result answered to; empty and 0 where it is about the images.
    series_instance_uid
        Of the series analysed.
    kinds
        Kinds of the objects that it names; empty for the result as a whole, and for images.
    finding_name
        Empty for the result as a whole.
    superseded
        Another answer has taken its place.
    mismatch
        What the document and the series analysed have not in common: patient, study.
    """

    document_uid: str
    position: int
    result_key: str
    series_instance_uid: str
    revision: int
    kinds: tuple[str, ...] = ()
    answer: str
    finding: str
    finding_name: str
    reason_code: str
    reason_scheme: str
    reason: str
    comment: str
    observer: str
    role: str
    said_at: datetime
    received_at: datetime
    calling_ae: str
    superseded: bool
    mismatch: tuple[str, ...] = ()

    @property
    def is_about_images(self) -> bool:
        """Say whether it is about the images that were analysed, or are to be."""
        return not self.result_key

    @property
    def stands(self) -> bool:
        """Say whether it counts."""
        return not self.superseded and not self.mismatch


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCounts:
    """Numbers of answers.

    Attributes
    ----------
    standing
        Those that stand, by their words.
    mismatched
        Those that name nothing of their own patient and study.
    """

    standing: Mapping[str, int]
    mismatched: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessedResult:
    """A result that was answered to; attributes as in :class:`storage.database.schema.Result`.

    Attributes
    ----------
    patient_key
        As in :class:`storage.database.schema.Series`.
    """

    key: str
    series_instance_uid: str
    patient_key: str
    revision: int
    model: str
    score: float | None
    positive: bool | None
    summary: str
    scanner: str = ""
    kernel: str = ""


def report_series(session: Session, study_instance_uid: str) -> dict[str, str]:
    """Find a series of objects of each result of a study.

    Returns
    -------
    dict
        Result key to Series Instance UID.
    """
    rows = session.execute(
        select(ResultObject.result_key, func.min(ResultObject.series_instance_uid))
        .join(Result)
        .join(Series, Series.series_instance_uid == Result.series_instance_uid)
        .where(Series.study_instance_uid == study_instance_uid)
        .group_by(ResultObject.result_key)
    ).all()
    return dict(rows)


def answer_counts(session: Session, since: datetime) -> AnswerCounts:
    """Count the answers received since a time; one counts once, to however many results it is."""
    lines = answers_since(session, since)
    standing = {(line.document_uid, line.position): line.answer for line in lines if line.stands}
    own = {(line.document_uid, line.position) for line in lines if not line.mismatch}
    return AnswerCounts(
        standing=dict(sorted(Counter(standing.values()).items())),
        mismatched=len({(line.document_uid, line.position) for line in lines} - own),
    )


def are_images_rejected(session: Session, series_instance_uid: str) -> bool:
    """Say whether a rejection of images of a series stands."""
    return any(
        line.is_about_images and line.stands and line.answer == REJECTED
        for line in answers_to(session, [series_instance_uid])
    )


def answers_in(session: Session, document_uids: Sequence[str]) -> list[AnswerLine]:
    """List the answers that some documents give to what is known here."""
    return _lines(session, [Feedback.document_uid.in_(batch) for batch in batched(document_uids)])


def answers_to(
    session: Session, series_instance_uids: Sequence[str] | None = None
) -> list[AnswerLine]:
    """List the answers to some series and their results, or to all; the earliest first.

    What signed reports say is an answer to the latest result of each series of their study.
    """
    chosen = series_instance_uids
    conditions = (
        [true()]
        if chosen is None
        else [Series.series_instance_uid.in_(batch) for batch in batched(chosen)]
    )
    return _in_order([*_lines(session, conditions), *_of(reports_of_series(session, chosen))])


def answers_since(session: Session, since: datetime, *, sender: str = "") -> list[AnswerLine]:
    """List the answers received since a time, to series of one sender if it is named."""
    of_sender = Series.calling_ae == sender if sender else true()
    lines = _lines(session, [and_(one, of_sender) for one in _received_since(session, since)])
    return _in_order([*lines, *_of(reports_since(session, since, sender=sender))])


def _in_order(lines: Iterable[AnswerLine]) -> list[AnswerLine]:
    return sorted(lines, key=lambda line: (line.said_at, line.document_uid, line.position))


def _of(reports: Iterable[ReportedSeries]) -> Iterator[AnswerLine]:
    """Make answers of what reports say."""
    for report in reports:
        yield AnswerLine(
            document_uid=report.order_key,
            position=0,
            result_key=report.result_key,
            series_instance_uid=report.series_instance_uid,
            revision=report.revision,
            answer=report_answer(report.diagnosis, called_positive=report.positive),
            finding="",
            finding_name="",
            reason_code=report.diagnosis,
            reason_scheme=REPORT,
            reason=f"COVID-19 {report.covid_19}, pneumonia {report.pneumonia}",
            comment="",
            observer=f"report {report.reference}",
            role=REPORT_BY,
            said_at=report.reported_at,
            received_at=report.received_at,
            calling_ae="",
            superseded=False,
            mismatch=(PATIENT,) if report.of_other_patient else (),
        )


def report_answer(diagnosis: str, *, called_positive: bool | None) -> str:
    """Say what a diagnosis (positive, negative or unclear) answers to a result."""
    if called_positive is None or diagnosis == UNCLEAR:
        return UNCLEAR
    return ACCEPTED if called_positive is (diagnosis == POSITIVE) else REJECTED


def _received_since(session: Session, since: datetime) -> list[ColumnElement[bool]]:
    """List conditions of the answers received since a time: by their ids.

    By the time itself a database may begin with the objects of all results, which are many more.
    """
    ids = session.scalars(select(Feedback.id).where(Feedback.received_at >= since)).all()
    return [Feedback.id.in_(batch) for batch in batched(ids)]


def _lines(session: Session, conditions: Iterable[ColumnElement[bool]]) -> list[AnswerLine]:
    """List the answers that fulfil one of some conditions, the earliest first."""
    named: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    for condition in conditions:
        for statement in _named():
            for uid, key, number, kind in session.execute(statement.where(condition).distinct()):
                named[uid, key, number].update({kind} - {""})
    series = _rows(session, Series, Series.series_instance_uid, {uid for uid, _, _ in named})
    results = _rows(session, Result, Result.key, {key for _, key, _ in named})
    answers = _rows(session, Feedback, Feedback.id, {number for _, _, number in named})
    kinds_of = _kinds_of(session, sorted(results))
    lines = [
        _line(
            series[uid],
            results.get(key),
            answers[number],
            () if kinds >= kinds_of[key] else tuple(sorted(kinds)),
        )
        for (uid, key, number), kinds in sorted(named.items())
    ]
    return _in_order(lines)


def _named() -> Iterator[Select[str, str, int, str]]:
    """Yield statements for what answers name: objects of results, and images.

    Their columns: Series Instance UID of the series analysed, result key (empty for images), id
    of the answer, kind of the object.
    """
    uid, number = Series.series_instance_uid, Feedback.id
    objects = (
        select(uid, ResultObject.result_key, number, ResultObject.kind)
        .join_from(Series, Result, Result.series_instance_uid == Series.series_instance_uid)
        .join(ResultObject)
    )
    images = select(uid, literal(""), number, literal("")).where(~Series.of_documents)
    subject = FeedbackSubject.uid
    yield from (
        statement.join(FeedbackSubject, subject == column).join(Feedback)
        for statement, column in (
            (objects, ResultObject.series_instance_uid),
            (objects, ResultObject.sop_instance_uid),
            (images, Series.series_instance_uid),
            (images.join_from(Series, Instance), Instance.sop_instance_uid),
        )
    )


def _rows(
    session: Session,
    table: type[Row],
    column: InstrumentedAttribute[Key],
    values: Collection[Key],
) -> dict[Key, Row]:
    """Find rows by the values of a column."""
    return {
        getattr(row, column.key): row
        for batch in batched(sorted(values))
        for row in session.scalars(select(table).where(column.in_(batch)))
    }


def _kinds_of(session: Session, keys: Sequence[str]) -> Mapping[str, set[str]]:
    """List the kinds of object of results, without what is for one destination alone."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for batch in batched(keys):
        rows = session.execute(
            select(ResultObject.result_key, ResultObject.kind)
            .where(ResultObject.result_key.in_(batch), ResultObject.only_for == "")
            .distinct()
        )
        for key, kind in rows:
            kinds[key].add(kind)
    return kinds


def _line(
    series: Series, result: Result | None, answer: Feedback, kinds: tuple[str, ...]
) -> AnswerLine:
    return AnswerLine(
        document_uid=answer.document_uid,
        position=answer.position,
        result_key=result.key if result else "",
        series_instance_uid=series.series_instance_uid,
        revision=result.revision if result else 0,
        kinds=kinds,
        answer=answer.answer,
        finding=answer.finding,
        finding_name=answer.finding_name,
        reason_code=answer.reason_code,
        reason_scheme=answer.reason_scheme,
        reason=answer.reason,
        comment=answer.comment,
        observer=answer.observer,
        role=answer.role,
        said_at=answer.said_at,
        received_at=answer.received_at,
        calling_ae=answer.calling_ae,
        superseded=answer.superseded,
        mismatch=tuple(_mismatch(series, answer)),
    )


def _mismatch(series: Series, answer: Feedback) -> Iterator[str]:
    """Yield what a document and a series have not in common; what is not known does not differ."""
    digests = (
        (series.patient_digest, answer.patient_digest),
        (series.birth_digest, answer.birth_digest),
    )
    if any(one and other and one != other for one, other in digests):
        yield PATIENT
    if series.study_instance_uid != answer.study_instance_uid:
        yield STUDY


def assessed_results(session: Session, keys: Collection[str]) -> dict[str, AssessedResult]:
    """Find results by their keys."""
    found: dict[str, AssessedResult] = {}
    for batch in batched(sorted(keys)):
        rows = session.execute(
            select(Result, Series.patient_key)
            .join(Series, Series.series_instance_uid == Result.series_instance_uid)
            .where(Result.key.in_(batch))
        )
        for row, patient_key in rows:
            found[row.key] = AssessedResult(
                key=row.key,
                series_instance_uid=row.series_instance_uid,
                patient_key=patient_key,
                revision=row.revision,
                model=row.model,
                score=row.score,
                positive=row.positive,
                summary=row.summary,
                scanner=row.scanner,
                kernel=row.kernel,
            )
    return found
