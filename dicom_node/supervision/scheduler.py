"""Run named jobs at intervals, and at once when woken: APScheduler, with a lane for each class."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from dicom_node.errors import NodeError
from dicom_node.health import Health
from dicom_node.logs import log
from dicom_node.supervision.lane import Lane
from storage.errors import DatabaseUnavailable, StorageError

LONG_SECONDS = 600.0  #: a job that has run so long is told as one that may hang
FIRST_WAIT_SECONDS = 0.5  #: after a job failed once; twice as long after each further failure
LONGEST_WAIT_SECONDS = 15.0

logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a skipped tick is no news


class Scheduler:
    """Runs named jobs; a job never runs twice at the same time.

    Jobs of one lane run one after the other, on a thread of their own: whatever hangs holds up
    its lane and nothing else.

    Parameters
    ----------
    health
        Hears of jobs that fail or seem to hang.
    """

    def __init__(self, health: Health) -> None:
        self._health = health
        self._lanes: dict[str, Lane] = {}
        self._scheduler = _Ticker(
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )

    def every(
        self, seconds: float, name: str, job: Callable[[], object], *, lane: str = ""
    ) -> None:
        """Run a job at an interval, the first time at once; in a lane of its name, or a given one.

        A job that fails waits before it runs again, the longer the more often it failed.
        """
        self._scheduler.add_job(
            GuardedJob(name, job, self._health),
            _Every(timedelta(seconds=seconds)),
            executor=self._lane(lane or name),
            id=name,
            next_run_time=datetime.now(UTC),
        )

    def once(self, name: str, job: Callable[..., object], *arguments: Any, lane: str = "") -> None:  # noqa: ANN401  # handed on
        """Run a job once, as soon as its lane is free."""
        self._scheduler.add_job(
            GuardedJob(name, partial(job, *arguments), self._health),
            executor=self._lane(lane or name),
        )

    def wake(self, *names: str) -> None:
        """Run jobs now rather than at their next tick."""
        for name in names:
            with suppress(JobLookupError):  # it was removed when the node began to stop
                self._scheduler.modify_job(name, next_run_time=datetime.now(UTC))

    def wake_in(self, seconds: float, name: str) -> None:
        """Run a job after a while, if its next tick does not come before."""
        job = self._scheduler.get_job(name)
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        if job is not None and (job.next_run_time is None or at < job.next_run_time):
            with suppress(JobLookupError):
                self._scheduler.modify_job(name, next_run_time=at)

    def start(self) -> None:
        """Start to run jobs."""
        self._scheduler.start()

    def wake_all(self) -> None:
        """Run every job now: the clock was set, so the times they wait for are wrong."""
        for job in self._scheduler.get_jobs():
            self.wake(job.id)

    def remove(self, name: str) -> None:
        """Remove a job, if there is one: it runs no more."""
        with suppress(JobLookupError):
            self._scheduler.remove_job(name)

    def is_alive(self) -> bool:
        """Say whether the thread that looks for due jobs runs."""
        return self._scheduler.is_alive()

    def restart(self) -> None:
        """Start that thread in place of one that has ended."""
        self._scheduler.restart()

    def look(self) -> None:
        """Start again lanes whose thread has ended, and tell of jobs that seem to hang."""
        for lane in tuple(self._lanes.values()):
            part = f"jobs {lane.name}"
            if not lane.is_alive():
                lane.restart()
                log.error("part_restarted", part=part, restarts=1)
            busy = lane.busy_seconds()
            if busy >= LONG_SECONDS:
                self._health.fault(part, f"the job that runs has not ended for {busy:.0f} s")
            else:
                self._health.well(part)

    def stop(self, *, seconds: float) -> bool:
        """Start no more jobs; wait for those that run, at most so long; say whether all ended.

        We wait ourselves: the scheduler would wait while it holds a lock that `wake` needs, and a
        job that wakes another at its end would never end.
        """
        deadline = time.monotonic() + seconds
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        ended = [lane.join(deadline - time.monotonic()) for lane in self._lanes.values()]
        return all(ended)

    def _lane(self, name: str) -> str:
        if name not in self._lanes:
            lane = self._lanes[name] = Lane(name)
            self._scheduler.add_executor(lane, name)
        return name


class _Every(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """An interval that is counted anew from a tick that is overdue.

    APScheduler's own lists every tick that was missed, while it holds a lock that a stop needs:
    hundreds of millions where the clock was set forward by decades, as on a host whose clock has
    lost its battery.
    """

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """Give the time of the next tick, which is never in the past."""
        due = now if previous is None else previous + self._interval
        return due if due > now or previous is None else now + self._interval


class _Ticker(BackgroundScheduler):  # type: ignore[misc]  # APScheduler has no types
    """APScheduler's loop on a thread that can be looked after."""

    def is_alive(self) -> bool:
        """Say whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def restart(self) -> None:
        """Start a thread in place of one that has ended."""
        self._thread = threading.Thread(target=self._main_loop, name="scheduler", daemon=True)
        self._thread.start()


class GuardedJob:
    """A job whose exceptions are logged, so that the scheduler goes on (thread border).

    Parameters
    ----------
    steady
        Monotonic clock, seconds.
    """

    def __init__(
        self,
        name: str,
        job: Callable[[], object],
        health: Health,
        *,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._job = name, job
        self._health, self._steady = health, steady
        self._failures, self._due_at = 0, 0.0
        self._part = ""  #: what its latest failure was told of

    def __call__(self) -> None:
        """Run the job, unless it failed a short while ago."""
        if self._steady() < self._due_at:
            return
        try:
            self._job()
        except Exception as fault:  # noqa: BLE001  # thread border: the next round must come
            self._tell(fault)
            self._due_at = self._steady() + wait_after(self._failures)
        else:
            if self._part:
                self._health.well(self._part)
            self._failures, self._due_at, self._part = 0, 0.0, ""

    def _tell(self, fault: Exception) -> None:
        """Log the first failure, the second, the fourth and so on; keep all in the condition."""
        self._failures += 1
        known = isinstance(fault, (StorageError, NodeError))
        reason = str(fault) if known else f"{type(fault).__name__}, see the log"
        part = "database" if isinstance(fault, DatabaseUnavailable) else f"job {self._name}"
        if self._part not in ("", part):
            self._health.well(self._part)
        self._part = part
        self._health.fault(part, reason)
        if self._failures & (self._failures - 1):
            return
        if known:
            log.error("job_failed", job=self._name, reason=reason, failures=self._failures)
        else:
            log.exception("job_failed", job=self._name, failures=self._failures)


def wait_after(failures: int) -> float:
    """Seconds before a job that failed so often in a row runs again."""
    return min(FIRST_WAIT_SECONDS * 2.0 ** min(failures - 1, 16), LONGEST_WAIT_SECONDS)
