"""Supervise the threads that everything hangs on: notice the end of one, and start it again.

One thread looks at every part in turn, publishes the condition of the node, and does nothing
else, so that nothing can stop it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from dicom_node.health import Health
from dicom_node.log_writer import LogWriter
from dicom_node.logs import log

LOOK_SECONDS = 1.0  #: between two looks at all parts
FIRST_WAIT_SECONDS = 1.0  #: after a part has ended once; twice as long each further time
LONGEST_WAIT_SECONDS = 60.0
LOSS_SECONDS = 60.0  #: so long after the latest lost line the log counts as in order
STEADY_SECONDS = 300.0  #: a part that has run so long begins again with the first wait


CONDITION = "condition"  #: the part that writes the condition to its file


class Part(Protocol):
    """What runs on a thread of its own."""

    def is_alive(self) -> bool:
        """Say whether its thread runs."""
        ...

    def restart(self) -> None:
        """Start a thread in place of one that has ended, which goes on where that one was."""
        ...


def wait_before(restarts: int) -> float:
    """Seconds to wait before a part is started again, by the number of restarts so far."""
    return min(FIRST_WAIT_SECONDS * 2.0 ** min(restarts, 16), LONGEST_WAIT_SECONDS)


@dataclass(slots=True)
class _Watched:
    part: Part
    restarts: int = 0
    started_at: float = 0.0
    due_at: float | None = None  #: when it is to be started again; None while it runs


class Supervisor:
    """Looks at every part of a node, once in `LOOK_SECONDS`.

    Parameters
    ----------
    health
        Hears of every part that has ended.
    publish
        Called after each round; writes the condition of the node where people can see it.
    steady
        Monotonic clock, seconds.
    """

    def __init__(
        self,
        health: Health,
        *,
        publish: Callable[[], object] = lambda: None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health, self._publish, self._steady = health, publish, steady
        self._parts: dict[str, _Watched] = {}
        self._observers: dict[str, Callable[[], object]] = {}
        self._not_looked_at: set[str] = set()  #: what could not be looked after the last time
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="supervisor", daemon=True)

    def watch(self, name: str, part: Part) -> None:
        """Look after a part from now on."""
        self._parts[name] = _Watched(part, started_at=self._steady())

    def observe(self, name: str, look: Callable[[], object]) -> None:
        """Call something in each round; it must not wait for anything."""
        self._observers[name] = look

    def start(self) -> None:
        """Start to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more, so that parts may end; publish the condition for the last time."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        self._guarded(CONDITION, self._publish)

    def look(self) -> None:
        """Look at every part once."""
        for name, watched in tuple(self._parts.items()):
            self._guarded(name, partial(self._look_at, name, watched))
        for name, observe in tuple(self._observers.items()):
            self._guarded(name, observe)
        self._guarded(CONDITION, self._publish)

    def _follow(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            self.look()

    def _look_at(self, name: str, watched: _Watched) -> None:
        now = self._steady()
        if watched.part.is_alive():
            if watched.restarts and now - watched.started_at >= STEADY_SECONDS:
                watched.restarts = 0
            return
        if watched.due_at is None:
            watched.due_at = now + wait_before(watched.restarts)
            self._health.fault(name, "its thread has ended; it is started again")
            log.error("part_ended", part=name, restarts=watched.restarts)
        if now >= watched.due_at:
            watched.part.restart()
            watched.due_at, watched.started_at = None, now
            watched.restarts += 1
            self._health.well(name)
            log.warning("part_restarted", part=name, restarts=watched.restarts)

    def _guarded(self, name: str, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as fault:  # noqa: BLE001  # thread border: the next part must be looked at
            reason = f"it cannot be looked after ({type(fault).__name__})"
            if self._health.fault(name, reason):
                log.error("job_failed", job=name, reason=reason)
            self._not_looked_at.add(name)
        else:
            if name in self._not_looked_at:
                self._not_looked_at.remove(name)
                self._health.well(name)


class LogLoss:
    """Tells the condition of the node how many log lines were lost, and the log when it is back.

    Parameters
    ----------
    steady
        Monotonic clock, seconds.
    """

    def __init__(
        self, writer: LogWriter, health: Health, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._writer, self._health, self._steady = writer, health, steady
        self._known = self._told = writer.lost
        self._latest_at = 0.0

    def look(self) -> None:
        """Look at the writer once."""
        lost, now = self._writer.lost, self._steady()
        if lost > self._known:
            self._known, self._latest_at = lost, now
            reason = self._writer.fault or "now they are"
            self._health.fault("log", f"{lost} lines were not written: {reason}")
        elif lost > self._told and not self._writer.fault and now - self._latest_at > LOSS_SECONDS:
            log.error("log_lines_lost", lines=lost - self._told)
            self._told = lost
            self._health.well("log")
