"""Decide from what a worker did whether it gets further tasks: pure, without clock or network."""

from __future__ import annotations

from dataclasses import dataclass, replace

MOST_FAULTS = 2  #: so many in a row, of different series, and a worker is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Waits that grow: the n-th is ``first_seconds * 2**(n-1)``, at most `longest_seconds`."""

    first_seconds: float
    longest_seconds: float

    def wait(self, times: int) -> float:
        """Seconds after the `times`-th failure in a row (1 or more)."""
        return min(self.first_seconds * 2.0 ** min(times - 1, 64), self.longest_seconds)


REST = Pace(first_seconds=30.0, longest_seconds=1800.0)  #: how long a worker is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """What is known of a worker.

    Attributes
    ----------
    faults
        Series during which it failed since it last finished a task, each once.
    rests
        How often it was left out since then.
    until
        Until when it is left out, on the monotonic clock.
    reason
        Why it was left out last.
    """

    faults: frozenset[str] = frozenset()
    rests: int = 0
    until: float = 0.0
    reason: str = ""

    def is_left_out(self, now: float) -> bool:
        """Whether it gets no task, nor is asked for its proof."""
        return now < self.until


def after_success(record: WorkerRecord) -> WorkerRecord:
    """Record a task that came to its end: all is forgiven."""
    return WorkerRecord() if record.faults or record.rests else record


def after_fault(
    record: WorkerRecord, series: str, reason: str, now: float, rest: Pace = REST
) -> WorkerRecord:
    """Record a fault that may be the worker's: it is left out after some in a row.

    The same series may be the cause of several, so that it counts once.
    """
    known = replace(record, faults=record.faults | {series}, reason=reason)
    # a worker that was left out before has used up its patience
    if len(known.faults) < MOST_FAULTS and not known.rests:
        return known
    return _left_out(known, now, rest)


def after_refusal(record: WorkerRecord, reason: str, now: float, rest: Pace = REST) -> WorkerRecord:
    """Record a proof that failed: the worker is left out at once."""
    return _left_out(replace(record, reason=reason), now, rest)


def _left_out(record: WorkerRecord, now: float, rest: Pace) -> WorkerRecord:
    rests = record.rests + 1
    return replace(record, faults=frozenset(), rests=rests, until=now + rest.wait(rests))
