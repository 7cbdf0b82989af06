"""Decide what the answer of a destination proves of an object: C-STORE, STOW-RS, commitment.

An object counts as delivered on positive proof only: the status of its own C-STORE, or a Referenced
SOP Sequence that names it, in the answer of STOW-RS (PS3.18 10.5.3, Annex I.2) as in the report of
storage commitment (PS3.4 Table J.3-3). What an answer leaves out, or says both ways, is unanswered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dicom_node.delivery.outcome import Outcome, Verdict
from dicom_node.network.status_codes import (
    DUPLICATE_SOP_INSTANCE,
    GENERAL_WARNINGS,
    OF_THE_OBJECT,
    OF_THE_OBJECT_RANGES,
    PROCESSING_FAILURE,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
    TRANSFER_SYNTAX_NOT_SUPPORTED,
    WARNING_MEANINGS,
    WARNING_RANGE,
)

NOT_SUPPORTED = (SOP_CLASS_NOT_SUPPORTED, TRANSFER_SYNTAX_NOT_SUPPORTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The contents of an answer that may name several objects.

    Attributes
    ----------
    stored
        SOP Instance UIDs of the Referenced SOP Sequence.
    warned
        SOP Instance UID to Warning Reason, of those in it that have one.
    failed
        SOP Instance UID to Failure Reason, of the Failed SOP Sequence; PROCESSING_FAILURE where
        there is none.
    unnamed
        Failure Reasons of objects that are not named.
    """

    stored: frozenset[str] = frozenset()
    warned: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    unnamed: tuple[int, ...] = ()

    @property
    def committed(self) -> frozenset[str]:
        """SOP Instance UIDs that are named as stored, and not as failed as well."""
        return self.stored - self.failed.keys()

    @property
    def lost(self) -> Mapping[str, int]:
        """SOP Instance UID to Failure Reason of those that are named as failed only."""
        return {uid: reason for uid, reason in self.failed.items() if uid not in self.stored}


def evidence(
    stored: Iterable[str],
    failed: Iterable[tuple[str, int | None]],
    other: Iterable[int | None] = (),
    warned: Iterable[tuple[str, int | None]] = (),
) -> Evidence:
    """Put the items of an answer together.

    Parameters
    ----------
    stored
        SOP Instance UIDs of the Referenced SOP Sequence.
    failed
        SOP Instance UID, empty if it is not given, and Failure Reason of each item of the Failed
        SOP Sequence.
    other
        Failure Reasons of the Other Failures Sequence.
    warned
        SOP Instance UID and Warning Reason of each item of the Referenced SOP Sequence.
    """
    reasons = [(uid, PROCESSING_FAILURE if reason is None else reason) for uid, reason in failed]
    others = [PROCESSING_FAILURE if reason is None else reason for reason in other]
    return Evidence(
        stored=frozenset(stored) - {""},
        warned={uid: reason for uid, reason in warned if reason},
        failed={uid: reason for uid, reason in reasons if uid},
        unnamed=(*(reason for uid, reason in reasons if not uid), *others),
    )


def judge(status: int) -> Outcome:
    """Decide what the status of its own C-STORE says of an object.

    PS3.4 Table B.2-1, PS3.7 Annex C. What is no fault of the object, or is not known, may be
    answered otherwise later.
    """
    warning = status in WARNING_RANGE or status in GENERAL_WARNINGS
    if status in (SUCCESS, DUPLICATE_SOP_INSTANCE) or warning:
        return Outcome(
            verdict=Verdict.ACCEPTED, status=status, detail=_remark(status) if warning else ""
        )
    return _failure(status)


def may_be_for_its_syntax(outcome: Outcome) -> bool:
    """Say whether an object may have failed for its transfer syntax: then another may do."""
    answered = outcome.status is not None
    failed = outcome.verdict in (Verdict.REFUSED, Verdict.UNSUPPORTED)
    return answered and (failed or outcome.status == PROCESSING_FAILURE)


def judge_evidence(found: Evidence, sop_instance_uid: str) -> Outcome | None:
    """Decide what the answer to a request with one object says of it; None if it says nothing.

    A Failure Reason means what the same status means in answer to a C-STORE (PS3.18 Annex I.2);
    but a warning among the failures is no proof that the object is stored.
    """
    if sop_instance_uid in found.committed:
        warning = found.warned.get(sop_instance_uid)
        return Outcome(verdict=Verdict.ACCEPTED, detail=_remark(warning) if warning else "")
    if sop_instance_uid in found.stored:
        return None
    reasons = (
        [found.failed[sop_instance_uid]] if sop_instance_uid in found.failed else found.unnamed
    )
    if not reasons:
        return None
    if reasons[0] == DUPLICATE_SOP_INSTANCE:
        return Outcome(verdict=Verdict.ACCEPTED, status=reasons[0])
    return _failure(reasons[0])


def _remark(warning: int) -> str:
    """Say what a destination remarked on an object that it stored all the same."""
    return f"stored with a warning, 0x{warning:04X}" + (
        f": {WARNING_MEANINGS[warning]}" if warning in WARNING_MEANINGS else ""
    )


def _failure(status: int) -> Outcome:
    detail = f"destination answered 0x{status:04X}"
    if status in NOT_SUPPORTED:
        return Outcome(
            verdict=Verdict.UNSUPPORTED, status=status, detail=detail, about_object=False
        )
    of_object = status in OF_THE_OBJECT or any(status in span for span in OF_THE_OBJECT_RANGES)
    verdict = Verdict.REFUSED if of_object else Verdict.POSTPONED
    return Outcome(verdict=verdict, status=status, detail=detail)
