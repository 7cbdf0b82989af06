"""Outcome of a delivery, decided from the status that the destination answered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dicom_node.network.status_codes import (
    DUPLICATE_SOP_INSTANCE,
    OUT_OF_RESOURCES_RANGE,
    PROCESSING_FAILURE,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
    WARNING_RANGE,
)


class Verdict(StrEnum):
    """Verdict of a destination on one object."""

    ACCEPTED = "accepted"  #: stored, or already there
    POSTPONED = "postponed"  #: not now; another attempt may succeed
    UNSUPPORTED = "unsupported"  #: its SOP class, or the transfer syntax, is not taken
    REFUSED = "refused"  #: another attempt would get the same answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Outcome of one attempt to deliver an object.

    Attributes
    ----------
    status
        DIMSE or HTTP status, or None if there was no answer.
    detail
        What a person needs to know, without patient data.
    """

    verdict: Verdict
    detail: str = ""
    status: int | None = None


def judge(status: int) -> Outcome:
    """Turn a C-STORE status into an outcome (PS3.4 Table B.2-1, PS3.7 Annex C)."""
    if status in (SUCCESS, DUPLICATE_SOP_INSTANCE) or status in WARNING_RANGE:
        return Outcome(verdict=Verdict.ACCEPTED, status=status)
    if status == PROCESSING_FAILURE or status in OUT_OF_RESOURCES_RANGE:
        return Outcome(
            verdict=Verdict.POSTPONED, status=status, detail=f"destination answered 0x{status:04X}"
        )
    unsupported = status == SOP_CLASS_NOT_SUPPORTED
    return Outcome(
        verdict=Verdict.UNSUPPORTED if unsupported else Verdict.REFUSED,
        status=status,
        detail=f"destination answered 0x{status:04X}",
    )


def unsendable(fault: Exception) -> Outcome:
    """Turn a fault in reading a file into an outcome; faults of the machine may pass."""
    detail = f"cannot send: {type(fault).__name__}"
    if isinstance(fault, FileNotFoundError):
        return Outcome(verdict=Verdict.REFUSED, detail=f"{detail}, see dicom-node doctor")
    of_the_machine = isinstance(fault, OSError) and fault.errno is not None
    return Outcome(verdict=Verdict.POSTPONED if of_the_machine else Verdict.REFUSED, detail=detail)
