"""Turn what documents of readers say into rows."""

from __future__ import annotations

from datetime import datetime

from dicom_node.analysis.worker.messages import Answered
from pipeline.encode.common.segments import finding_names
from pipeline.feedback.answers import Assessment, Statement
from storage.database.sessions import Session
from storage.files.identity_key import IdentityKey
from storage.results.answers import report_series
from storage.results.feedback import NewAnswer, NewDocument
from storage.series.lifecycle import SeriesTicket

Known = dict[str, tuple[str, str]]
"""Tracking UID to a series of the result that has the finding, and to our name of the finding."""


def feedback_rows(
    session: Session, ticket: SeriesTicket, answered: Answered, key: IdentityKey
) -> tuple[NewDocument, ...]:
    """Make the rows of documents: findings of results of their study get our names of them.

    An answer that names a finding by its Tracking UID alone is about the result that has it.

    Parameters
    ----------
    key
        Of the digests of who the patient is.
    """
    known: Known = {
        tracking_uid: (series, name)
        for key, series in report_series(session, ticket.study_instance_uid).items()
        for tracking_uid, name in finding_names(key).items()
    }
    return tuple(_document(document, known, key) for document in answered.documents)


def _document(document: Assessment, known: Known, key: IdentityKey) -> NewDocument:
    return NewDocument(
        document_uid=document.sop_instance_uid,
        answers=tuple(_answer(statement, known) for statement in document.statements),
        observer=document.observer,
        role=document.role,
        said_at=_aware(document.said_at),
        predecessors=document.predecessors,
        study_instance_uid=document.study_instance_uid,
        patient_digest=key.keyed(document.patient_sha256),
        birth_digest=key.keyed(document.birth_sha256),
    )


def _aware(said_at: datetime | None) -> datetime | None:
    """Take a time without a zone for one of the node's own zone."""
    return said_at and said_at.astimezone()


def _answer(statement: Statement, known: Known) -> NewAnswer:
    series, name = known.get(statement.finding, ("", ""))
    subjects = {*statement.subjects, *([series] if series else [])}
    return NewAnswer(
        answer=statement.answer,
        subjects=tuple(sorted(subjects)),
        finding=statement.finding,
        finding_name=name,
        reason_code=statement.reason.value,
        reason_scheme=statement.reason.scheme,
        reason=statement.reason.meaning,
        comment=statement.comment,
    )
