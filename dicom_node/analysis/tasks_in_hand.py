"""Series in the hands of the dispatcher: some are computed, some held until they can go on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dicom_node.analysis.workers import AnalysisTask


class TasksInHand:
    """Knows them by Series Instance UID; for any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: dict[str, AnalysisTask] = {}
        self._held: dict[str, Callable[[], None]] = {}

    def __len__(self) -> int:
        """How many series keep a place of a worker; a held one does as well."""
        with self._changed:
            return len(self._running) + len(self._held)

    @property
    def holds_any(self) -> bool:
        """Whether a series waits until it can go on."""
        with self._changed:
            return bool(self._held)

    def add(self, uid: str, task: AnalysisTask) -> None:
        """Enter the task that a worker has now for a series."""
        with self._changed:
            self._running[uid] = task

    def remove(self, uid: str, task: AnalysisTask) -> None:
        """Remove a task that was settled, unless another has followed: its notice is made."""
        with self._changed:
            if self._running.get(uid) is task:
                del self._running[uid]
            self._changed.notify_all()

    def hold(self, uid: str, again: Callable[[], None]) -> None:
        """Keep what is to be done for a series when it can be."""
        with self._changed:
            self._held[uid] = again

    def take_held(self) -> list[Callable[[], None]]:
        """Hand out what was kept, each once."""
        with self._changed:
            held, self._held = self._held, {}
        return list(held.values())

    def started_before(self, moment: float) -> list[tuple[str, AnalysisTask]]:
        """List the tasks that a worker has begun before a moment (monotonic, seconds)."""
        with self._changed:
            running = list(self._running.items())
        return [
            (uid, task)
            for uid, task in running
            if task.started_at is not None and task.started_at < moment
        ]

    def begun(self) -> list[tuple[str, str, float]]:
        """List what workers have begun: series, worker, and when (monotonic, seconds)."""
        with self._changed:
            running = list(self._running.items())
        return [
            (uid, task.worker, task.started_at)
            for uid, task in running
            if task.started_at is not None
        ]

    def wait_until_idle(self, *, seconds: float) -> bool:
        """Wait for what runs, at most so long; say whether all of it was settled."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, seconds)
