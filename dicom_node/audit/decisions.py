"""Record decisions in the log that shows what was changed since: what counts, is sent, is gone.

Nobody waits for it but the disk, and nothing fails for it: what the disk did not take is written
with the next decision of this process. What cannot be written at all, such as one that is too
long, is logged and left out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from dicom_node.errors import NodeError
from dicom_node.logs import log
from storage.files.decision_log import FILE, append

NODE = "node"  #: who decides what nobody asked for
ROOM = 1_000  #: decisions that may wait for the disk


class Decided(StrEnum):
    """Kind of decision."""

    STARTED = "started"  #: a node began, with this model, threshold and version
    SETTINGS = "settings"  #: settings count from now on
    RESULT = "result"  #: a result was made; perhaps it takes the place of another
    SHADOW = "shadow"  #: a second model analyses from now on beside the one in use, or none does
    SENT = "sent"  #: a destination has accepted objects of a result
    ERASED = "erased"  #: series were erased, with their results; by the node, where time was over
    PAUSED = "paused"  #: a destination gets nothing, from now on
    RESUMED = "resumed"  #: it gets what waits for it
    ACCEPTED = "accepted"  #: changes of a scanner, for which its results may have been held


class DecisionSink(Protocol):
    """Takes decisions."""

    def record(self, what: Decided, facts: Mapping[str, object], *, by: str = NODE) -> None:
        """Take a decision; never raises."""
        ...


class NoDecisions:
    """Discards decisions, where there is no installation."""

    def record(self, what: Decided, facts: Mapping[str, object], *, by: str = NODE) -> None:
        """Discard a decision."""


NO_DECISIONS = NoDecisions()


class DecisionLog:
    """Writes decisions into the storage folder, in the order in which they are recorded."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self._folder, self._clock = folder, clock
        self._lock = threading.Lock()
        self._waiting: deque[dict[str, Any]] = deque(maxlen=ROOM)

    def record(self, what: Decided, facts: Mapping[str, object], *, by: str = NODE) -> None:
        """Write a decision, and log the head of the chain: it is noted outside the folder then."""
        with self._lock:
            entry = {"at": self._clock(), "what": str(what), "by": by, "facts": facts}
            self._waiting.append(entry)
            try:
                while self._waiting:
                    self._write(self._waiting[0])
                    self._waiting.popleft()
            except OSError as fault:
                waiting, reason = len(self._waiting), str(fault.strerror)
                log.error("decision_not_recorded", waiting=waiting, reason=reason)

    def require_written(self) -> None:
        """Make sure that nothing waits for the disk, where the process ends.

        Raises
        ------
        NodeError
            If it does.
        """
        if self._waiting:
            raise NodeError(
                f"that is done, but {FILE} in the storage folder could not be written: nobody can"
                " see there that it was"
            )

    def _write(self, entry: Mapping[str, Any]) -> None:
        """Write one decision; leave out what no disk would take.

        Raises
        ------
        OSError
            If it cannot be written now.
        """
        try:
            head = append(self._folder, **entry)
        except (ValueError, TypeError, RecursionError) as fault:
            waiting, reason = len(self._waiting) - 1, f"{entry['what']} left out: {fault}"
            log.error("decision_not_recorded", waiting=waiting, reason=reason)
            return
        log.info("decision_recorded", number=head.number, digest=head.digest)
