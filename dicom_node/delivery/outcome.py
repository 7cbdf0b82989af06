"""What to do after a delivery failed: decided purely, obeyed elsewhere."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Verdict(StrEnum):
    """How a destination answered one object."""

    ACCEPTED = "accepted"  #: stored, or already there
    POSTPONED = "postponed"  #: not now; worth another try
    UNSUPPORTED = "unsupported"  #: its SOP class, or the transfer syntax, is not taken
    REFUSED = "refused"  #: another try would get the same answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One answer of a destination.

    Attributes
    ----------
    status
        DIMSE status, or None where no answer came.
    detail
        What a person needs to know, without patient data.
    """

    verdict: Verdict
    detail: str = ""
    status: int | None = None


DUPLICATE_SOP_INSTANCE = 0x0111  #: PS3.7 C.5.8: the peer has it already
SOP_CLASS_NOT_SUPPORTED = 0x0122  #: PS3.7 C.5.6
PROCESSING_FAILURE = 0x0110  #: PS3.7 C.5.15
OUT_OF_RESOURCES = range(0xA700, 0xA800)  #: PS3.4 Table B.2-1
WARNINGS = range(0xB000, 0xC000)  #: PS3.4 Table B.2-1: stored, with a remark


def judge(status: int) -> Outcome:
    """Turn a C-STORE status into an outcome (PS3.4 Table B.2-1, PS3.7 Annex C)."""
    if status in (0x0000, DUPLICATE_SOP_INSTANCE) or status in WARNINGS:
        return Outcome(verdict=Verdict.ACCEPTED, status=status)
    if status == PROCESSING_FAILURE or status in OUT_OF_RESOURCES:
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
    """Turn what kept a file from being read into an outcome: the machine may be well again."""
    said = f"cannot send: {type(fault).__name__}"
    if isinstance(fault, FileNotFoundError):
        return Outcome(verdict=Verdict.REFUSED, detail=f"{said}, see dicom-node doctor")
    of_the_machine = isinstance(fault, OSError) and fault.errno is not None
    return Outcome(verdict=Verdict.POSTPONED if of_the_machine else Verdict.REFUSED, detail=said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before the next try, and when to stop trying.

    Attributes
    ----------
    first_seconds, factor, max_seconds
        The n-th wait is ``first_seconds * factor**(n-1)``, at most `max_seconds`.
    give_up_after
        Time since the delivery was first due after which it is refused for good.
    spread
        Waits are shortened by up to this share, so that nodes and results that were turned away
        together do not all come back together.
    """

    first_seconds: float
    factor: float
    max_seconds: float
    give_up_after: timedelta
    spread: float = 0.2

    def wait(self, attempts: int) -> timedelta:
        """Wait after the `attempts`-th failed try (1 or more)."""
        steps = min(attempts - 1, 64)  # beyond this the cap has long been reached
        return timedelta(seconds=min(self.first_seconds * self.factor**steps, self.max_seconds))

    def next_try(
        self, *, attempts: int, first_at: datetime, now: datetime, key: str = ""
    ) -> datetime | None:
        """When to try again; None when the deadline has passed.

        Parameters
        ----------
        key
            Whatever has the same key and attempts comes at the same time: the objects of a result.
        """
        if now - first_at >= self.give_up_after:
            return None
        lot = zlib.crc32(f"{key}/{attempts}".encode()) / 2**32
        return now + self.wait(attempts) * (1 - self.spread * lot)
