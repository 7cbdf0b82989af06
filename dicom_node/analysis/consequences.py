"""Decide purely what a fault during an analysis means, for the series and for the worker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from dicom_node.errors import (
    AlteredFile,
    AnalysisFault,
    CannotRepeat,
    EngineAway,
    EngineLost,
    FolderAway,
    UnfitWorker,
)
from pipeline.errors import ConformanceError, ModelError, OutOfMemory
from pipeline.reasons import FailedReason
from storage.series.lifecycle import SeriesTicket

#: Faults whose reason says enough; any other is logged with its traceback.
EXPECTED = (
    AlteredFile,
    CannotRepeat,
    ModelError,
    ConformanceError,
    EngineAway,
    EngineLost,
    FolderAway,
    OutOfMemory,
)
PREFIXES = {
    ModelError: "model",
    ConformanceError: "outgoing check",
    OutOfMemory: "out of memory",
}
FINAL = (CannotRepeat, ModelError, ConformanceError)  #: faults that would come again
ELSEWHERE = timedelta(seconds=2)  #: before a series goes to another worker, or waits for one


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A fault that ends the series: a person must look at it."""

    reason: str
    code: FailedReason = FailedReason.ANALYSIS_FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A fault that may not come again, or not elsewhere.

    Attributes
    ----------
    wait
        Before the next attempt.
    counted
        Whether it may be the fault of the series: then it is one of its attempts.
    blames_worker
        Whether it may be the fault of the worker.
    """

    reason: str
    wait: timedelta
    counted: bool = True
    blames_worker: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptPolicy:
    """When to give a series up, and which others may overtake it.

    Attributes
    ----------
    attempts
        Tries before a series has failed.
    task_timeout_seconds
        Time after its start after which a task counts as hung.
    first_wait
        Wait before the second try; each further one is twice as long.
    urgent_aes
        Senders whose series go before others.
    """

    attempts: int
    task_timeout_seconds: float
    first_wait: timedelta = timedelta()
    urgent_aes: frozenset[str] = frozenset()

    def wait(self, attempts: int) -> timedelta:
        """Wait after the `attempts`-th failed attempt (1 or more)."""
        return self.first_wait * float(2 ** (attempts - 1))


def consequence_of(
    fault: Exception, ticket: SeriesTicket, policy: AttemptPolicy, *, unanimous: bool
) -> Failure | Retry:
    """Decide what a fault during an analysis means for the series, and for the worker.

    Parameters
    ----------
    unanimous
        Whether every worker that may take the series has said what amounts to the same: then it
        is no fault of theirs.
    """
    if isinstance(fault, EngineAway | FolderAway):
        return Retry(reason=reason_of(fault), wait=ELSEWHERE, counted=False)
    if may_be_of_the_worker(fault) and not unanimous:
        return Retry(reason=reason_of(fault), wait=ELSEWHERE, counted=False, blames_worker=True)
    if isinstance(fault, FINAL):
        return Failure(reason=reason_of(fault, str(ticket.rerun)), code=_code(fault))
    if isinstance(fault, AnalysisFault) and fault.of_the_data and ticket.attempts > 1:
        return Failure(reason=f"{fault.kind} during each analysis; see the log")
    if ticket.attempts >= policy.attempts:
        return Failure(reason=f"{ticket.attempts} attempts: {reason_of(fault)}")
    return Retry(
        reason=reason_of(fault),
        wait=policy.wait(ticket.attempts),
        blames_worker=isinstance(fault, EngineLost),
    )


def may_be_of_the_worker(fault: Exception) -> bool:
    """Whether a worker may lack the model, a library, or a file that others have as it is."""
    if isinstance(fault, AnalysisFault):
        return fault.of_the_worker
    return isinstance(fault, ModelError | UnfitWorker | AlteredFile)


def _code(fault: Exception) -> FailedReason:
    match fault:
        case ModelError():
            return FailedReason.MODEL_FAULT
        case ConformanceError():
            return FailedReason.OUTGOING_CHECK
        case _:
            return FailedReason.ANALYSIS_FAILED


def reason_of(fault: Exception, rerun: str = "") -> str:
    """Say what happened, without quoting what may hold patient data."""
    match fault:
        case CannotRepeat():
            return f"{rerun}: {fault}"
        case ModelError() | ConformanceError() | OutOfMemory():
            return f"{PREFIXES[type(fault)]}: {fault}"
        case EngineLost() | EngineAway() | FolderAway() | UnfitWorker() | AlteredFile():
            return str(fault)
        case _:
            kind = fault.kind if isinstance(fault, AnalysisFault) else type(fault).__name__
            return f"{kind} during the analysis; see the log"
