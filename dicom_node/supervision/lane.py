"""Lane: an executor of APScheduler with one thread of its own, which holds up no other lane.

Its thread is a daemon: a job that hangs does not keep the process from ending.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from datetime import datetime
from typing import Any

from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.job import Job


class Lane(BaseExecutor):  # type: ignore[misc]  # APScheduler has no types
    """Runs the jobs of one class, one after the other.

    Parameters
    ----------
    name
        Of the lane, and of its thread.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._jobs: queue.SimpleQueue[tuple[Job, list[datetime]] | None] = queue.SimpleQueue()
        self._busy_since: float | None = None
        self._thread: threading.Thread | None = None

    def start(self, scheduler: Any, alias: str) -> None:  # noqa: ANN401  # as APScheduler has it
        """As in APScheduler."""
        super().start(scheduler, alias)
        self.restart()

    def shutdown(self, wait: bool = True) -> None:
        """Take no further job; see :meth:`join` for those that it has."""
        del wait
        self._jobs.put(None)

    def join(self, seconds: float) -> bool:
        """Wait for the jobs that it has, at most so long; say whether all have ended."""
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))
        return not self.is_alive()

    def is_alive(self) -> bool:
        """Say whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def restart(self) -> None:
        """Start a thread in place of one that has ended."""
        self._busy_since = None
        self._thread = threading.Thread(target=self._follow, name=self.name, daemon=True)
        self._thread.start()

    def busy_seconds(self) -> float:
        """Tell for how long its job has been running; 0 if none is."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self._jobs.put((job, run_times))

    def _follow(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, run_times = entry
            self._busy_since = time.monotonic()
            try:
                events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
            except BaseException:  # noqa: BLE001  # thread border: the job may run again
                self._run_job_error(job.id, *sys.exc_info()[1:])
            else:
                self._run_job_success(job.id, events)
            finally:
                self._busy_since = None
