"""Record what readers answer to results, and mark which answers stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.orm import Session

from storage.database.batches import batched
from storage.database.schema import (
    Feedback,
    FeedbackSubject,
    Instance,
    Result,
    ResultObject,
    Series,
)
from storage.results.condensed_objects import series_of_condensed_objects
from storage.series.condensed.rows import series_of_condensed

REJECTED, REVOKED = "rejected", "revoked"  #: answers, as `pipeline.feedback.answers` has them


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnswer:
    """One answer; attributes as in :class:`storage.database.schema.Feedback`.

    Attributes
    ----------
    subjects
        UIDs of what it is about.
    """

    answer: str
    subjects: tuple[str, ...]
    finding: str = ""
    finding_name: str = ""
    reason_code: str = ""
    reason_scheme: str = ""
    reason: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDocument:
    """A document with answers.

    Attributes
    ----------
    said_at
        None if it does not say.
    study_instance_uid
        That of its series if empty.
    """

    document_uid: str
    answers: tuple[NewAnswer, ...]
    observer: str = ""
    role: str = ""
    said_at: datetime | None = None
    predecessors: tuple[str, ...] = ()
    study_instance_uid: str = ""
    patient_digest: str = ""
    birth_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidAnswer:
    """What decides whether an answer stands.

    Attributes
    ----------
    about
        The finding, and what it is found in.
    patient
        Digests of the Patient ID and the birth date; empty where they are not known.
    """

    id: int
    document_uid: str
    predecessors: frozenset[str]
    observer: str
    about: tuple[str, frozenset[str]]
    said_at: datetime
    answer: str = ""
    patient: tuple[str, str] = ("", "")


def superseded(answers: Iterable[SaidAnswer]) -> set[int]:
    """Find the answers that do not stand, in whatever order they came.

    An answer is superseded by a document that names its own as a predecessor, and by a later
    answer of the same person about the same; by the higher document UID at the same time. A
    rejection is superseded by a later revocation of it, whoever says so: archives revoke under a
    name of their own. Answers about two patients leave one another alone.
    """
    known = list(answers)
    amending: dict[str, list[SaidAnswer]] = defaultdict(list)
    alike: dict[object, list[SaidAnswer]] = defaultdict(list)
    for answer in known:
        for uid in answer.predecessors - {answer.document_uid}:
            amending[uid].append(answer)
        alike[answer.observer, answer.about].append(answer)
    revoking = [answer for answer in known if answer.answer == REVOKED]

    def against(answer: SaidAnswer) -> Iterator[SaidAnswer]:
        yield from amending[answer.document_uid]
        same = alike[answer.observer, answer.about]
        yield from (other for other in same if _at(other) > _at(answer))
        if answer.answer == REJECTED:
            yield from (other for other in revoking if _revokes(other, answer))

    return {
        answer.id
        for answer in known
        if any(_of_one_patient(other, answer) for other in against(answer))
    }


def _at(answer: SaidAnswer) -> tuple[datetime, str]:
    return answer.said_at, answer.document_uid


def _of_one_patient(answer: SaidAnswer, other: SaidAnswer) -> bool:
    """Say whether two answers may be about one patient; what is not known does not differ."""
    pairs = zip(answer.patient, other.patient, strict=True)
    return not any(one and another and one != another for one, another in pairs)


def _revokes(other: SaidAnswer, rejection: SaidAnswer) -> bool:
    """Say whether an answer is a later revocation of a rejection, or of more than that."""
    (finding, subjects), (rejected, objects) = other.about, rejection.about
    return (
        other.answer == REVOKED
        and finding in {"", rejected}
        and objects <= subjects
        and other.said_at >= rejection.said_at
    )


class Source(Protocol):
    """A series that documents are in, or the one that an answer without a document is about."""

    @property
    def series_instance_uid(self) -> str:
        """Its UID."""

    @property
    def study_instance_uid(self) -> str:
        """UID of its study."""

    @property
    def calling_ae(self) -> str:
        """AE title of its sender."""


def enter_feedback(
    session: Session, ticket: Source, documents: Sequence[NewDocument], now: datetime
) -> None:
    """Enter the answers of documents, in place of what those documents said before.

    What a later or amending document has superseded is marked, whichever came first.
    """
    uids = [document.document_uid for document in documents]
    _delete(session, Feedback.document_uid.in_(uids))
    received = {
        row.sop_instance_uid: row
        for row in session.scalars(
            select(Instance).where(Instance.sop_instance_uid.in_(uids), ~Instance.superseded)
        )
    }
    _hold_series(
        session, {uid for one in documents for answer in one.answers for uid in answer.subjects}
    )
    for document in documents:
        instance = received.get(document.document_uid)
        study = document.study_instance_uid or ticket.study_instance_uid
        received_at = instance.received_at if instance else now
        for position, answer in enumerate(document.answers):
            subjects = _with_series(session, study, set(answer.subjects))
            row = Feedback(
                document_uid=document.document_uid,
                position=position,
                series_instance_uid=ticket.series_instance_uid,
                study_instance_uid=study,
                patient_digest=document.patient_digest,
                birth_digest=document.birth_digest,
                predecessors=" ".join(document.predecessors),
                answer=answer.answer,
                finding=answer.finding,
                finding_name=answer.finding_name,
                reason_code=answer.reason_code,
                reason_scheme=answer.reason_scheme,
                reason=answer.reason,
                comment=answer.comment,
                observer=document.observer,
                role=document.role,
                said_at=min(document.said_at or received_at, received_at),  # no clock is ahead
                received_at=received_at,
                calling_ae=instance.calling_ae if instance else ticket.calling_ae,
            )
            session.add(row)
            session.flush()
            session.add_all(FeedbackSubject(feedback_id=row.id, uid=uid) for uid in subjects)
    session.flush()
    studies = {document.study_instance_uid or ticket.study_instance_uid for document in documents}
    for study in studies:
        _settle(session, study)


def _hold_series(session: Session, uids: set[str]) -> None:
    """Keep the series of images and objects from being condensed before the answers name them."""
    uid = Series.series_instance_uid
    for batch in batched(sorted(uids)):
        images = select(Instance.series_instance_uid).where(Instance.sop_instance_uid.in_(batch))
        objects = (
            select(Result.series_instance_uid)
            .join(ResultObject, ResultObject.result_key == Result.key)
            .where(ResultObject.sop_instance_uid.in_(batch))
        )
        series = select(uid).where(or_(uid.in_(images), uid.in_(objects))).order_by(uid)
        session.execute(series.with_for_update(read=True, key_share=True)).all()


def _with_series(session: Session, study_instance_uid: str, uids: set[str]) -> set[str]:
    """Add the series of those subjects whose own rows were condensed into one of it."""
    unknown = uids - _with_rows(session, uids)
    if not unknown:  # as where all are series: what was condensed is not to be unpacked for that
        return uids
    return uids | {
        *series_of_condensed(session, study_instance_uid, unknown).values(),
        *series_of_condensed_objects(session, study_instance_uid, unknown).values(),
    }


def _with_rows(session: Session, uids: set[str]) -> set[str]:
    """Find those of some UIDs that a series, a series of objects, an object or an image has."""
    return {
        uid
        for column in (
            Series.series_instance_uid,
            ResultObject.series_instance_uid,
            ResultObject.sop_instance_uid,
            Instance.sop_instance_uid,
        )
        for batch in batched(sorted(uids))
        for uid in session.scalars(select(column).where(column.in_(batch)).distinct())
    }


def _settle(session: Session, study_instance_uid: str) -> None:
    """Mark which answers of a study are superseded."""
    of_study = Feedback.study_instance_uid == study_instance_uid
    rows = session.scalars(select(Feedback).where(of_study)).all()
    subjects = _subjects(session, [row.id for row in rows])
    gone = superseded(
        SaidAnswer(
            id=row.id,
            document_uid=row.document_uid,
            predecessors=frozenset(row.predecessors.split()),
            observer=row.observer,
            about=(row.finding, frozenset(subjects[row.id])),
            said_at=row.said_at,
            answer=row.answer,
            patient=(row.patient_digest, row.birth_digest),
        )
        for row in rows
    )
    for row in rows:
        row.superseded = row.id in gone
    session.flush()


def _subjects(session: Session, ids: Sequence[int]) -> Mapping[int, set[str]]:
    subjects: dict[int, set[str]] = defaultdict(set)
    for batch in batched(ids):
        rows = session.execute(
            select(FeedbackSubject.feedback_id, FeedbackSubject.uid).where(
                FeedbackSubject.feedback_id.in_(batch)
            )
        )
        for feedback, uid in rows:
            subjects[feedback].add(uid)
    return subjects


def erase_feedback(session: Session, series_instance_uid: str) -> None:
    """Delete what the documents of a series say, and what is said about the results of it."""
    of_series = select(Result.key).where(Result.series_instance_uid == series_instance_uid)
    about = [
        *(
            select(FeedbackSubject.feedback_id)
            .join(ResultObject, column == FeedbackSubject.uid)
            .where(ResultObject.result_key.in_(of_series))
            for column in (ResultObject.series_instance_uid, ResultObject.sop_instance_uid)
        ),
        select(FeedbackSubject.feedback_id)
        .join(Instance, Instance.sop_instance_uid == FeedbackSubject.uid)
        .where(Instance.series_instance_uid == series_instance_uid),
    ]
    _delete(
        session,
        or_(
            Feedback.series_instance_uid == series_instance_uid,
            Feedback.id.in_(
                select(FeedbackSubject.feedback_id).where(
                    FeedbackSubject.uid == series_instance_uid
                )
            ),
            *(Feedback.id.in_(chosen) for chosen in about),
        ),
    )


def _delete(session: Session, chosen: ColumnElement[bool]) -> None:
    ids = session.scalars(select(Feedback.id).where(chosen)).all()
    for batch in batched(ids):
        session.execute(delete(FeedbackSubject).where(FeedbackSubject.feedback_id.in_(batch)))
        session.execute(delete(Feedback).where(Feedback.id.in_(batch)))
    session.flush()
