"""Notice from what the scheduler knows of its workers which of them would begin no task.

A worker that is stopped, hangs or is short of memory stays connected, and what it is given waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dicom_node.analysis.engine.connection import SeenWorker

SILENT_SECONDS = 60.0  #: a worker is heard every second or so; computing may hold it up for a while
BEGINNING = frozenset({"init", "running"})
"""`distributed.Status` of a worker that begins tasks, or will as soon as it has started."""
PAUSED = "paused"  #: likewise, of one that uses most of its memory


@dataclass(slots=True)
class WorkerCondition:
    """Remembers when each worker was last heard, by our own clock: the scheduler's may differ.

    Attributes
    ----------
    silent_seconds
        A worker that was not heard for longer is taken for stopped.
    """

    silent_seconds: float = SILENT_SECONDS
    _heard: dict[str, tuple[float, float]] = field(default_factory=dict, init=False)

    def faults(self, workers: Iterable[SeenWorker], now: float) -> dict[str, str]:
        """Say of the workers that would begin no task, by their addresses, why."""
        known = self._heard
        self._heard = {}
        faults = {}
        for worker in workers:
            told, at = known.get(worker.address, (worker.heard_at, now))
            at = at if told == worker.heard_at else now
            self._heard[worker.address] = worker.heard_at, at
            if now - at > self.silent_seconds:
                faults[worker.address] = (
                    f"it has not been heard for {now - at:.0f} s: it hangs, or was stopped"
                )
            elif worker.status == PAUSED:
                faults[worker.address] = "it is paused: most of its memory is used"
            elif worker.status not in BEGINNING:
                faults[worker.address] = f"it is {worker.status}"
        return faults
