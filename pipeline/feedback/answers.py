"""Answers of readers to results: the values that a document is read into."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Answer(StrEnum):
    """An answer to a result, or to one of its findings."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    MODIFIED = "modified"  #: right in part: the reader has put something else in its place
    REVOKED = "revoked"  #: an earlier rejection does not hold any more
    EXPIRED = "expired"  #: removed as its time was over; nobody has judged it
    UNCLEAR = "unclear"  #: an assessment in words or codes that are not known here


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """A coded concept as it was written; `meaning` may stand alone."""

    value: str = ""
    scheme: str = ""
    meaning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One answer.

    Attributes
    ----------
    subjects
        Series Instance UIDs of the objects answered to; the SOP Instance UID of one whose series
        the document does not say.
    finding
        Tracking Unique Identifier of the finding; empty for the objects as a whole.
    reason
        The reason, or the answer itself where it is unclear.
    comment
        Free text, cut; nothing where it names the patient.
    """

    answer: Answer
    subjects: tuple[str, ...]
    finding: str = ""
    reason: Concept = Concept()
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """A document with answers.

    Attributes
    ----------
    observer, role
        Name of the person who answered, and their role; empty if the document does not say.
    said_at
        Content Date and Time; without a zone where the document has none; None if it has no date.
    predecessors
        SOP Instance UIDs of the documents that this one amends.
    study_instance_uid
        Of the document.
    patient_sha256, birth_sha256
        Plain digests of its Patient ID and Birth Date, for whoever tells patients apart by them:
        not to be kept as they are.
    """

    sop_instance_uid: str
    statements: tuple[Statement, ...]
    observer: str = ""
    role: str = ""
    said_at: datetime | None = None
    predecessors: tuple[str, ...] = ()
    study_instance_uid: str = ""
    patient_sha256: str = ""
    birth_sha256: str = ""
