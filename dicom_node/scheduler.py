"""Run named jobs at intervals, and at once when woken, on threads of APScheduler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from dicom_node.clock_watch import ClockWatch
from dicom_node.logs import log

THREADS = 16  #: jobs that can run side by side: one per destination and a handful of our own

logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a skipped tick is no news


class Scheduler:
    """Runs named jobs; a job never runs twice at the same time."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS)
        self._scheduler = BackgroundScheduler(
            executors={"default": self._threads},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )
        self._watch = ClockWatch(self.wake_all)

    def every(self, seconds: float, name: str, job: Callable[[], object]) -> None:
        """Run a job at an interval, the first time at once."""
        self._scheduler.add_job(
            guarded,
            "interval",
            args=[name, job],
            seconds=seconds,
            id=name,
            next_run_time=datetime.now(UTC),
        )

    def once(self, name: str, job: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401  # handed on
        """Run a job once, as soon as a thread of the scheduler is free."""
        self._scheduler.add_job(guarded, args=[name, job, *arguments])

    def wake(self, *names: str) -> None:
        """Run jobs now rather than at their next tick."""
        for name in names:
            with suppress(JobLookupError):  # it was removed when the node began to stop
                self._scheduler.modify_job(name, next_run_time=datetime.now(UTC))

    def start(self) -> None:
        """Start to run jobs."""
        self._scheduler.start()
        self._watch.start()

    def wake_all(self) -> None:
        """Run every job now: the clock was set, so the times they wait for are wrong."""
        for job in self._scheduler.get_jobs():
            self.wake(job.id)

    def remove(self, name: str) -> None:
        """Remove a job: it runs no more."""
        self._scheduler.remove_job(name)

    def stop(self) -> None:
        """Start no more jobs; wait for those that run.

        We wait ourselves: the scheduler would wait while it holds a lock that `wake` needs, and a
        job that wakes another at its end would never end.
        """
        self._watch.stop()
        self._scheduler.shutdown(wait=False)
        self._threads.shutdown(wait=True)


def guarded(name: str, job: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401  # handed on
    """Run one job; log its exception, so that the scheduler goes on (thread border)."""
    try:
        job(*arguments)
    except Exception:  # noqa: BLE001  # thread border: the next round must come
        log.exception("job_failed", job=name)
