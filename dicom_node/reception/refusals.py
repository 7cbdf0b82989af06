"""Record who was turned away and what was refused: in the log, the status and the audit trail.

The first refusal of a kind is recorded at once. Those that follow are counted, and recorded
together after a while that grows, so that neither a port scan nor a load balancer's connection
each second fills the memory, the database, the log or the audit trail.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal

from dicom_node.audit.messages import turned_away
from dicom_node.audit.syslog import NO_AUDIT, AuditSink
from dicom_node.logs import log
from dicom_node.reception.header import printable
from dicom_node.reception.index_writer import IndexWriter
from storage.series.quarantine_and_refusals import (
    MAXIMUM_KINDS,
    OTHERS,
    RefusalKind,
    record_refusal,
)

FIRST_WAIT_SECONDS = 10.0  #: refusals of a kind are counted for so long after its first
LONGEST_WAIT_SECONDS = 600.0  #: twice as long each time, up to this: 144 lines of a kind a day
LOG_WIDTH = 300  #: characters of a text of a peer in one log line

Kind = Literal[
    "association_broken",
    "association_rejected",
    "context_refused",
    "instance_refused",
    "report_refused",
]
TURNED_AWAY: tuple[Kind, ...] = ("association_broken", "association_rejected")
"""Kinds that are a Security Alert for the auditor (PS3.15 A.5.3.11), and a warning in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One refusal, before an instance was kept.

    Attributes
    ----------
    calling_ae, address
        Of the caller; empty if unknown.
    what, reason
        What was refused, and why: words for people, without data of a patient.
    kind
        Name of the log event: `association_broken` where a connection ended before there was
        a readable request.
    """

    kind: Kind
    what: str
    reason: str
    calling_ae: str = ""
    address: str = ""


OTHER_KINDS = Refusal(
    kind="association_rejected", **asdict(OTHERS)
)  #: counts all kinds beyond the latest


@dataclass(slots=True)
class _Repeated:
    """Refusals of one kind that were counted, and not recorded yet."""

    due_at: float
    wait_seconds: float = FIRST_WAIT_SECONDS
    count: int = 0


class RefusalRecorder:
    """Records refusals; any thread may add one.

    Parameters
    ----------
    clock
        Gives the time of day.
    steady
        Monotonic clock, seconds.
    """

    def __init__(
        self,
        index: IndexWriter,
        clock: Callable[[], datetime],
        audit: AuditSink = NO_AUDIT,
        *,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index, self._clock, self._audit, self._steady = index, clock, audit, steady
        self._lock = threading.Lock()
        self._kinds: dict[Refusal, _Repeated] = {}

    def add(self, refusal: Refusal) -> None:
        """Record the first refusal of a kind; count those that follow it soon."""
        with self._lock:
            if refusal not in self._kinds and len(self._kinds) >= MAXIMUM_KINDS:
                refusal = OTHER_KINDS
            known = self._kinds.get(refusal)
            if known is not None:
                known.count += 1
                return
            self._kinds[refusal] = _Repeated(due_at=self._steady() + FIRST_WAIT_SECONDS)
        self._record(refusal, 1)

    def look(self) -> None:
        """Record what was counted for long enough; forget kinds that did not occur again."""
        now = self._steady()
        with self._lock:
            due = {kind: one for kind, one in self._kinds.items() if one.due_at <= now}
            counted = [(kind, one.count) for kind, one in due.items() if one.count]
            for kind, one in due.items():
                if not one.count:
                    del self._kinds[kind]
                    continue
                one.wait_seconds = min(2 * one.wait_seconds, LONGEST_WAIT_SECONDS)
                one.due_at, one.count = now + one.wait_seconds, 0
        for refusal, count in counted:
            self._record(refusal, count)

    def flush(self) -> None:
        """Record all that was counted, as the node stops."""
        with self._lock:
            counted = [(kind, one.count) for kind, one in self._kinds.items() if one.count]
            self._kinds.clear()
        for refusal, count in counted:
            self._record(refusal, count)

    def _record(self, refusal: Refusal, count: int) -> None:
        """Write a log line, have the row counted up, and tell the auditor."""
        refusal = replace(
            refusal,
            calling_ae=printable(refusal.calling_ae),
            what=printable(refusal.what),
            reason=printable(refusal.reason),
        )
        now, is_alert = self._clock(), refusal.kind in TURNED_AWAY
        write = log.info if refusal.kind == "context_refused" else log.warning
        write(
            refusal.kind,
            calling_ae=refusal.calling_ae,
            host=refusal.address,
            what=refusal.what[:LOG_WIDTH],
            reason=refusal.reason[:LOG_WIDTH],
            times=count,
        )

        kind = RefusalKind(
            calling_ae=refusal.calling_ae,
            address=refusal.address,
            what=refusal.what,
            reason=refusal.reason,
        )
        self._index.put(lambda session: record_refusal(session, now, kind, count))
        if is_alert:
            reason = f"{refusal.what}: {refusal.reason}"
            self._audit.record(
                turned_away(refusal.calling_ae, refusal.address, reason=reason, times=count)
            )
