"""Hold the lease of the database while this process works on it.

A database is worked on by one process at a time. Another one is refused while the holder lives.
Whether it does is judged by what its beats do while we look, on our own steady clock, so that no
clock of a host or a server matters; where we hold the very lock that it held, it has ended.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from dicom_node.errors import NodeError
from dicom_node.folder_lock import LOCK
from dicom_node.logs import log
from dicom_node.resources import Resources
from storage.database.lease import (
    Holder,
    Lease,
    read_lease,
    release_lease,
    renew_lease,
    take_lease,
)
from storage.database.receivers import end_receivers
from storage.errors import DatabaseUnavailable, StaleState
from storage.files.folder import StorageFolder
from storage.files.installation import installation_of

PART = "lease"  #: in the condition of the node
RENEW_SECONDS = 5.0  #: between two beats of a holder
SILENT_SECONDS = 45.0  #: a holder without a beat for so long has ended; a write may wait for 30 s
LOOK_SECONDS = 1.0  #: between two looks at another holder
AGE = "lease.json"  #: file in the storage folder: the lease as the folder knows it
BOOT = Path("/proc/sys/kernel/random/boot_id")  #: of Linux, drawn anew at each start of the host

OLDER = (
    "the database is older than its storage folder, or a new one, as after a restored copy: what"
    " was received since is taken up again and analysed; results made since are not known any more"
    " and stay in the PACS beside the new ones, which have UIDs of their own"
)
FOLDER_OLDER = (
    "the storage folder is older than its database, as after a restored copy: files of later"
    " instances and results may be missing; dicom-node doctor lists them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """How far the lease had come when the storage folder saw it last."""

    number: int = 0
    beats: int = 0


class DatabaseLease:
    """The lease that this process holds; a thread of it shows that we live."""

    def __init__(
        self,
        resources: Resources,
        *,
        number: int,
        holder: str,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        self._resources, self._renew_seconds = resources, renew_seconds
        self.number, self._holder = number, holder
        self._told = threading.Lock()  #: taken for good when the loss is told
        self._when_lost: Callable[[], object] = bool
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        resources.sessions.hold(number, holder, self._lose)

    @property
    def lost(self) -> str:
        """Who has taken the database over; empty while we hold it."""
        return self._resources.sessions.lost

    def when_lost(self, act: Callable[[], object]) -> None:
        """Have something done when the lease is lost, on whatever thread notices."""
        self._when_lost = act
        if self.lost:
            act()

    def start(self) -> None:
        """Start to show that we live."""
        self.restart()

    def restart(self) -> None:
        """Start a thread that does so."""
        self._thread = threading.Thread(target=self._live, name="lease", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Say whether the thread runs, or has come to its end in order."""
        ended = self._ending.is_set() or bool(self.lost)
        return ended or (self._thread is not None and self._thread.is_alive())

    def renew(self) -> None:
        """Show once that we live.

        Raises
        ------
        DatabaseUnavailable
            If the database cannot be written; LeaseLost if another holds the lease.
        """
        self._resources.sessions.check_file()
        with self._resources.sessions.begin() as session:
            beats = renew_lease(session, self.number, self._holder)
        note_age(self._resources.folder, Age(number=self.number, beats=beats))

    def stop(self) -> None:
        """Let go of the lease, so that the next process need not wait."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(self._renew_seconds)
        try:
            with self._resources.sessions.begin() as session:
                release_lease(session, self.number, self._holder)
        except DatabaseUnavailable as fault:  # the next one waits, or proves that we ended
            log.warning("lease_not_released", reason=str(fault))

    def _live(self) -> None:
        while not self.lost and not self._ending.wait(self._renew_seconds):
            try:
                self.renew()
            except Exception as fault:  # noqa: BLE001  # thread border: the next beat must come
                log.warning("lease_not_renewed", reason=type(fault).__name__)

    def _lose(self, reason: str) -> None:
        if not self._told.acquire(blocking=False):
            return
        self._resources.health.fault(PART, reason, receiving=False)
        log.error("lease_lost", reason=reason)
        self._when_lost()


@contextmanager
def holding(resources: Resources, *, adopt: bool = False) -> Iterator[DatabaseLease]:
    """Hold the lease for the time of a command that changes what a node works on.

    Raises
    ------
    NodeError
        As :func:`acquire`.
    """
    lease = acquire(resources, adopt=adopt)
    lease.start()
    try:
        yield lease
    finally:
        lease.stop()


def acquire(
    resources: Resources,
    *,
    adopt: bool = False,
    ending: threading.Event | None = None,
    silent_seconds: float = SILENT_SECONDS,
    place: str | None = None,
) -> DatabaseLease:
    """Take the lease of the database; the storage folder must be locked by this process.

    Parameters
    ----------
    adopt
        Whether the database of another storage folder is made that of this one.
    ending
        Set when the process is to end, which ends a wait.
    silent_seconds
        A holder elsewhere without a sign of life for so long has ended.
    place
        Where we are; None finds it out.

    Raises
    ------
    NodeError
        If another process works on the database, or if it belongs to another storage folder.
    """
    root = resources.folder.root
    me = Holder(
        installation=installation_of(root),
        holder=uuid.uuid4().hex,
        place=place_of(root) if place is None else place,
        folder=str(root.absolute()),
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    seen = end_of_holder(resources, me, adopt, ending or threading.Event(), silent_seconds)
    try:
        return take(resources, me, seen)
    except StaleState:
        raise NodeError("another node took the database at the same moment: try again") from None


def take(
    resources: Resources,
    me: Holder,
    seen: Lease | None,
    *,
    renew_seconds: float = RENEW_SECONDS,
    with_receivers: bool = False,
) -> DatabaseLease:
    """Take the lease as it was seen, of a holder that has ended.

    Parameters
    ----------
    renew_seconds
        Between two beats.
    with_receivers
        Whether receivers go on that share the database; else they are ended.

    Raises
    ------
    StaleState
        If its holder has shown a sign of life since, or another has taken it.
    """
    root = resources.folder.root
    age = read_age(root)
    number = max(seen.number if seen else 0, age.number) + 1
    found = which_is_older(seen, age) or (seen.found if seen else "")
    with resources.sessions.begin() as session:
        take_lease(session, me, resources.clock(), seen=seen, number=number, found=found)
        if not with_receivers:
            end_receivers(session)
    note_age(resources.folder, Age(number=number))
    if found:
        log.warning("copy_restored", reason=found)
        resources.health.fault("restored copy", f"{found}; dicom-node doctor --mend ends this note")
    log.info("lease_taken", number=number)
    return DatabaseLease(resources, number=number, holder=me.holder, renew_seconds=renew_seconds)


def end_of_holder(
    resources: Resources, me: Holder, adopt: bool, ending: threading.Event, silent_seconds: float
) -> Lease | None:
    """Wait until the lease may be taken; return it as it is then.

    Raises
    ------
    NodeError
        As :func:`acquire`.
    """
    seen = _read(resources)
    if seen is None:
        return None
    if seen.held_by.installation != me.installation and not adopt:
        raise NodeError(of_another_folder(seen, me.folder))
    if not seen.is_held or seen.held_by.place == me.place:
        return seen
    log.info("lease_awaited", host=seen.held_by.host, pid=seen.held_by.pid)
    deadline = time.monotonic() + silent_seconds
    while time.monotonic() < deadline:
        if ending.wait(LOOK_SECONDS):
            raise NodeError("ended while it waited for the lease of the database")
        current = _read(resources)
        if current is not None and not current.is_held:
            return current
        if current != seen:
            raise NodeError(_taken(current or seen))
    return seen


def _read(resources: Resources) -> Lease | None:
    with resources.sessions.reading() as session:
        return read_lease(session)


def _taken(lease: Lease) -> str:
    by = lease.held_by
    return (
        f"another node works on this database since {lease.since:%Y-%m-%d %H:%M} UTC: {by.host},"
        f" process {by.pid}, folder {by.folder}, installation {by.installation}: stop it first, or"
        " give this node a database of its own ([storage] database_url)"
    )


def of_another_folder(lease: Lease, folder: str) -> str:
    """Refuse a storage folder that is not the one of the database."""
    return (
        f"the database belongs to another storage folder, {owner(lease)}; its files are not in"
        f" {folder}: set that folder ([storage] folder), or give this node a database of its"
        " own ([storage] database_url); if those files are gone for good, dicom-node run"
        " --new-folder goes on without them"
    )


def owner(lease: Lease) -> str:
    """Say whose the database is."""
    by = lease.held_by
    return (
        f"{by.folder} on {by.host} (installation {by.installation}, last taken"
        f" {lease.since:%Y-%m-%d %H:%M} UTC)"
    )


def place_of(root: Path) -> str:
    """Name the lock of a storage folder so that no other lock has that name, as far as one sees.

    Two processes with the same name cannot hold it at a time: the host's kernel is the same since
    it was started, and so is the file.
    """
    lock = root / LOCK
    lock.touch(mode=0o600)
    entry = lock.stat()
    try:
        boot = BOOT.read_text(encoding="ascii").strip()
    except OSError:
        boot = socket.gethostname()
    return f"{boot} {entry.st_dev}:{entry.st_ino}"


def which_is_older(seen: Lease | None, age: Age) -> str:
    """Say which is older, database or storage folder; empty if neither is, as far as they tell."""
    database = Age() if seen is None else Age(number=seen.number, beats=seen.beats)
    if (database.number, database.beats) < (age.number, age.beats):
        return OLDER
    if age.number and database.number > age.number + 1:  # a crash may leave it one behind
        return FOLDER_OLDER
    return ""


def read_age(root: Path) -> Age:
    """Read how far the lease had come by the storage folder; nothing if it never saw one."""
    try:
        return Age(**json.loads((root / AGE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Age()


def note_age(folder: StorageFolder, age: Age) -> None:
    """Note how far the lease has come; a folder of copies tells nothing of the bucket's age."""
    if folder.objects is None:
        write_age(folder.root, age)


def write_age(root: Path, age: Age) -> None:
    """Write how far the lease has come; a full disk only makes it older than it is."""
    temporary = root / f".{AGE}"
    try:
        temporary.write_text(json.dumps(asdict(age)), encoding="utf-8")
        temporary.replace(root / AGE)
    except OSError as fault:
        log.warning("lease_not_noted", reason=type(fault).__name__)
