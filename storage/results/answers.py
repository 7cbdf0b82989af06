"""Find what readers answer to results.

A document may name objects that are not known here, not yet or not any more: answers are kept
with the UIDs they name, and matched with results whenever they are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.orm import Session

from storage.database.schema import Feedback, FeedbackSubject, Result, ResultObject, Series
from storage.series.instances import batched


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLine:
    """One answer to one result.

    Attributes
    ----------
    series_instance_uid
        Of the series analysed.
    revision
        Of the result answered to.
    finding_name
        Empty for the result as a whole.
    superseded
        Another answer has taken its place.
    """

    document_uid: str
    position: int
    result_key: str
    series_instance_uid: str
    revision: int
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


def names_ours(session: Session, uids: Collection[str]) -> bool:
    """Say whether one of some UIDs is that of an object of ours, or of a series of them."""
    for batch in batched(sorted(uids)):
        for column in (ResultObject.series_instance_uid, ResultObject.sop_instance_uid):
            if session.scalar(select(exists().where(column.in_(batch)))):
                return True
    return False


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


def answer_counts(session: Session, since: datetime) -> dict[str, int]:
    """Count the answers to results of ours that stand, received since a time, by their words."""
    rows = session.scalars(
        select(Feedback.answer).where(
            Feedback.received_at >= since, ~Feedback.superseded, _is_about_ours()
        )
    )
    return dict(sorted(Counter(rows).items()))


def _is_about_ours() -> ColumnElement[bool]:
    uid = FeedbackSubject.uid
    known = or_(
        exists().where(ResultObject.series_instance_uid == uid),
        exists().where(ResultObject.sop_instance_uid == uid),
    )
    return exists().where(FeedbackSubject.feedback_id == Feedback.id, known)


def answers_to(
    session: Session, series_instance_uids: Sequence[str] | None = None
) -> list[AnswerLine]:
    """List the answers to the results of some analysed series, or of all; the earliest first."""
    matched: set[tuple[str, int]] = set()
    for column in (ResultObject.series_instance_uid, ResultObject.sop_instance_uid):
        pairs = (
            select(ResultObject.result_key, FeedbackSubject.feedback_id)
            .join(FeedbackSubject, FeedbackSubject.uid == column)
            .distinct()
        )
        if series_instance_uids is None:
            matched.update((key, number) for key, number in session.execute(pairs))
            continue
        for batch in batched(series_instance_uids):
            of_series = select(Result.key).where(Result.series_instance_uid.in_(batch))
            rows = session.execute(pairs.where(ResultObject.result_key.in_(of_series)))
            matched.update((key, number) for key, number in rows)
    keys, numbers = sorted({key for key, _ in matched}), sorted({number for _, number in matched})
    results = {
        row.key: row
        for batch in batched(keys)
        for row in session.scalars(select(Result).where(Result.key.in_(batch)))
    }
    answers = {
        row.id: row
        for batch in batched(numbers)
        for row in session.scalars(select(Feedback).where(Feedback.id.in_(batch)))
    }
    lines = [_line(results[key], answers[number]) for key, number in matched]
    return sorted(lines, key=lambda line: (line.said_at, line.document_uid, line.position))


def _line(result: Result, answer: Feedback) -> AnswerLine:
    return AnswerLine(
        document_uid=answer.document_uid,
        position=answer.position,
        result_key=result.key,
        series_instance_uid=result.series_instance_uid,
        revision=result.revision,
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
    )


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
            )
    return found
