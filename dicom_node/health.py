"""Condition of the running node: what is out of order, since when and why.

Every part reports to one `Health`; the node writes it to a small file in the storage folder, so
that `dicom-node status` can show it even while the database is away.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from dicom_node.clock_watch import utc_now

FILE = "health.json"  #: in the storage folder
OF_RECEIVER = "health-"  #: begins the name of that of one of several receivers
PUBLISH_SECONDS = 10.0  #: longest time between two writings of the file
STALE_SECONDS = 60.0  #: a running node writes the file more often
ACTIVE, STANDBY = "active", "standby"
MAX_FAULTS = 200  #: names of parts may come from peers: further ones are not kept


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFault:
    """One part of the node that is out of order.

    Attributes
    ----------
    part
        Short name in plain words, such as ``engine`` or ``destination PACS``.
    since
        When it went out of order.
    reason
        The latest reason, in one line.
    count
        How often it was reported since then.
    receiving
        False if instances are refused because of it.
    ready
        False if the node is not ready because of it, whether or not it takes instances.
    """

    part: str
    since: datetime
    reason: str
    count: int = 1
    receiving: bool = True
    ready: bool = True

    @property
    def is_ready(self) -> bool:
        """Whether the node is ready all the same."""
        return self.receiving and self.ready


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLoad:
    """What one worker of the engine does.

    Attributes
    ----------
    series_instance_uid
        Of the series that it works on; empty if it is free.
    since
        When it began with that; None if it is free.
    """

    worker: str
    series_instance_uid: str = ""
    since: datetime | None = None


class Health:
    """Keeps the faults of all parts; any thread may report.

    Attributes
    ----------
    workers
        Tells what the workers of the engine do; must not wait for anything.
    role
        `ACTIVE` or `STANDBY` of a receiver that shares its folder; empty of a node of its own.

    Parameters
    ----------
    clock
        Gives the time of day.
    """

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._faults: dict[str, PartFault] = {}
        self.workers: Callable[[], tuple[WorkerLoad, ...]] = tuple
        self.role = ""

    def fault(self, part: str, reason: str, *, receiving: bool = True, ready: bool = True) -> bool:
        """Report a part that is out of order; True if it was in order before.

        Parameters
        ----------
        receiving, ready
            As in `PartFault`.
        """
        with self._lock:
            known = self._faults.get(part)
            if known is None and len(self._faults) >= MAX_FAULTS:
                return False
            self._faults[part] = (
                PartFault(
                    part=part,
                    since=self._clock(),
                    reason=reason,
                    receiving=receiving,
                    ready=ready,
                )
                if known is None
                else replace(
                    known,
                    reason=reason,
                    count=known.count + 1,
                    receiving=receiving,
                    ready=ready,
                )
            )
            return known is None

    def well(self, part: str) -> bool:
        """Report a part that is in order; True if it was not before."""
        with self._lock:
            return self._faults.pop(part, None) is not None

    def snapshot(self) -> tuple[PartFault, ...]:
        """List the parts that are out of order, the longest first."""
        with self._lock:
            return tuple(sorted(self._faults.values(), key=lambda fault: fault.since))


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Condition of a node at a time, as read from its file; `role` as in :class:`Health`."""

    written_at: datetime
    faults: tuple[PartFault, ...] = ()
    workers: tuple[WorkerLoad, ...] = ()
    role: str = ""

    @property
    def receiving(self) -> bool:
        """Whether instances are taken."""
        return all(fault.receiving for fault in self.faults)

    def is_stale(self, now: datetime) -> bool:
        """Say whether a node that runs would have written another one since."""
        return abs((now - self.written_at).total_seconds()) > STALE_SECONDS


def why_not_ready(condition: Condition | None, now: datetime, *, running: bool) -> str:
    """Say why a node is not ready; empty if it is.

    Parameters
    ----------
    condition
        As the node last wrote it; None if it never did.
    running
        Whether a process holds the storage folder.
    """
    silence = why_silent(condition, now, running=running)
    faults = condition.faults if condition else ()
    return silence or "; ".join(
        f"{fault.part}: {fault.reason}" for fault in faults if not fault.is_ready
    )


def why_silent(condition: Condition | None, now: datetime, *, running: bool) -> str:
    """Say why nobody knows how a node is; empty if somebody does. Parameters as `why_not_ready`."""
    if not running:
        return "the node is not running"
    if condition is None:
        return "the node starts: it has not told its condition yet"
    if condition.is_stale(now):
        since = f"{condition.written_at.astimezone():%Y-%m-%d %H:%M:%S}"
        return f"the node has not told its condition since {since}: it starts, or hangs"
    return ""


def file_of(receiver: str) -> str:
    """Name the file of a receiver; without a name, of the node, or of the active receiver."""
    return f"{OF_RECEIVER}{receiver}.json" if receiver else FILE


def write_condition(folder: Path, condition: Condition, file: str = FILE) -> None:
    """Write the condition of the node into its storage folder, whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    temporary = folder / f".{file}"
    text = json.dumps(asdict(condition), default=lambda moment: moment.isoformat(), indent=1)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(text)
    temporary.replace(folder / file)


class ConditionFile:
    """Writes the condition of a node to its file, when it changes and now and then.

    Parameters
    ----------
    folder
        The storage folder.
    clock
        Gives the time of day.
    steady
        Monotonic clock, seconds.
    receiver
        Name of a receiver that shares the folder: it has a file of its own, and while it is the
        active one that of the node too.
    """

    def __init__(
        self,
        folder: Path,
        health: Health,
        clock: Callable[[], datetime] = utc_now,
        steady: Callable[[], float] = time.monotonic,
        *,
        receiver: str = "",
    ) -> None:
        self._folder, self._health = folder, health
        self._clock, self._steady = clock, steady
        self._receiver = receiver
        self._told: tuple[str, tuple[PartFault, ...], frozenset[tuple[str, str]]] | None = None
        self._written_at = 0.0

    def publish(self) -> None:
        """Write the condition, if it is time.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        faults, workers, now = self._health.snapshot(), self._health.workers(), self._steady()
        role = self._health.role
        told = (role, faults, frozenset((one.worker, one.series_instance_uid) for one in workers))
        if told == self._told and now - self._written_at < PUBLISH_SECONDS:
            return
        condition = Condition(written_at=self._clock(), faults=faults, workers=workers, role=role)
        if self._receiver:
            write_condition(self._folder, condition, file_of(self._receiver))
        if role != STANDBY:
            write_condition(self._folder, condition)
        self._told, self._written_at = told, now


def read_condition(folder: Path, receiver: str = "") -> Condition | None:
    """Read what the node, or a receiver, last wrote; None if there is nothing.

    A file that cannot be read is itself out of order: a condition of that alone.
    """
    file = folder / file_of(receiver)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        faults = tuple(
            PartFault(**{**fault, "since": datetime.fromisoformat(fault["since"])})
            for fault in values["faults"]
        )
        workers = tuple(
            WorkerLoad(**{**one, "since": one["since"] and datetime.fromisoformat(one["since"])})
            for one in values.get("workers", ())
        )
        at = datetime.fromisoformat(values["written_at"])
        role = str(values.get("role", ""))
        return Condition(written_at=at, faults=faults, workers=workers, role=role)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else "it is damaged"
        reason, now = f"{file}: cannot be read ({why})", utc_now()
        unreadable = PartFault(part="condition", since=now, reason=reason, ready=False)
        return Condition(written_at=now, faults=(unreadable,))
