"""Outcome of one attempt to deliver an object; `dicom_node.delivery.proof` says what proves it."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum

from pydicom.errors import InvalidDicomError

UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    MemoryError,
    InvalidDicomError,
    struct.error,
    zlib.error,
)
"""Errors in reading a file, or in encoding it again; those of pydicom and its decoders included."""


class Verdict(StrEnum):
    """Verdict of a destination on one object."""

    ACCEPTED = "accepted"  #: stored, or already there
    POSTPONED = "postponed"  #: not now; another attempt may succeed
    UNANSWERED = "unanswered"  #: no answer to this object, from a destination that was there
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
    about_object
        Whether the answer is about this object; else a destination that is out of order, or not
        the one that is meant, would say the same of any object.
    """

    verdict: Verdict
    detail: str = ""
    status: int | None = None
    about_object: bool = True


def unsendable(fault: Exception) -> Outcome:
    """Turn a fault in reading a file into an outcome; faults of the machine may pass."""
    detail = f"cannot send: {type(fault).__name__}"
    if isinstance(fault, FileNotFoundError):
        return Outcome(verdict=Verdict.REFUSED, detail=f"{detail}, see dicom-node doctor")
    of_the_machine = isinstance(fault, MemoryError) or (
        isinstance(fault, OSError) and fault.errno is not None
    )
    return Outcome(verdict=Verdict.POSTPONED if of_the_machine else Verdict.REFUSED, detail=detail)
