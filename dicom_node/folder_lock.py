"""Lock the storage folder, so that one node at a time uses it, or receivers that share it."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dicom_node.errors import AlreadyRunning, FolderAway, NodeError
from dicom_node.logs import log
from storage.files.disk import FULL, give_to_owner_of_folder

LOCK = "node.lock"  #: held by the process that uses the folder, against others
#: Held too, but shared: `is_running` tries it for a moment, which keeps no node from starting.
RUNNING = "node.running"
STARTING = "receivers.lock"  #: shared by receivers that run; held by one that starts alone
#: There from the moment one starts alone until it has looked at all files: it may be killed before
UNSEEN = "receivers.unseen"
#: Folder of what a restore has copied, until everything is in its place
RESTORING = ".restoring"
LOOK_SECONDS = 0.2  #: between two looks whether one that starts alone is done


@contextmanager
def only_node(folder: Path) -> Iterator[None]:
    """Hold the storage folder for this process; the system releases it however the process ends.

    Raises
    ------
    AlreadyRunning
        If another node holds it.
    NodeError
        If the folder cannot be made, or was restored in part.
    """
    _make(folder)
    with _opened(folder / LOCK) as lock, _opened(folder / RUNNING) as running:
        _take(
            lock,
            fcntl.LOCK_EX,
            f"another node uses the storage folder {folder}, or a restore fills it: stop it first",
        )
        fcntl.flock(running, fcntl.LOCK_SH)
        refuse_restored_in_part(folder)
        yield


@dataclass(slots=True)
class SharedFolder:
    """The storage folder as a receiver holds it that shares it with others.

    Attributes
    ----------
    is_alone
        Whether no other receiver runs, nor starts, until :meth:`admit`.
    """

    is_alone: bool
    _starting: int
    _unseen: Path

    def admit(self) -> None:
        """Let other receivers start, or go on with their start: all files have been looked at."""
        self._unseen.unlink(missing_ok=True)
        fcntl.flock(self._starting, fcntl.LOCK_SH)
        self.is_alone = False


@contextmanager
def one_of_several(
    folder: Path, name: str, ending: threading.Event | None = None
) -> Iterator[SharedFolder]:
    """Hold the storage folder with other receivers; wait for one that starts alone.

    Parameters
    ----------
    name
        Of this receiver; no two that run have the same.
    ending
        Set when the process is to end, which ends the wait.

    Raises
    ------
    AlreadyRunning
        If a node that shares it with nobody holds it, or a receiver of that name.
    NodeError
        If the folder cannot be made, was restored in part, or the wait was ended.
    """
    _make(folder)
    with ExitStack() as opened:
        lock, running, named, runs, starting = (
            opened.enter_context(_opened(folder / file))
            for file in (LOCK, RUNNING, f"{LOCK}-{name}", f"{RUNNING}-{name}", STARTING)
        )
        _take(
            lock,
            fcntl.LOCK_SH,
            f"the storage folder {folder} is used by a node or a command that shares it with no"
            " receivers ([node] receiver): stop it first",
        )
        _take(
            named,
            fcntl.LOCK_EX,
            f"[node] receiver: expected a name of this receiver's own, got {name}: another one of"
            f" that name uses the storage folder {folder}",
        )
        for descriptor in (running, runs):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        refuse_restored_in_part(folder)
        unseen = folder / UNSEEN
        is_alone = _starts_alone(starting, unseen, ending or threading.Event())
        if is_alone:
            unseen.touch(mode=0o600)
        yield SharedFolder(is_alone, starting, unseen)


def is_running(folder: Path, receiver: str = "") -> bool:
    """Say whether a process holds the storage folder; asking never keeps a node from starting.

    Parameters
    ----------
    receiver
        Name of one of those that share the folder; empty for any process.

    Raises
    ------
    NodeError
        If the folder cannot be read.
    """
    file = folder / (f"{RUNNING}-{receiver}" if receiver else RUNNING)
    if not file.exists():
        return False
    try:  # a network folder locks only what can be written
        descriptor = os.open(file, os.O_RDWR)
    except OSError:  # it may be mounted for reading only, or be another user's
        with _opened(file, os.O_RDONLY) as running:
            return not _takes(running, fcntl.LOCK_EX)
    try:
        return not _takes(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def refuse_restored_in_part(folder: Path) -> None:
    """Refuse a storage folder that a restore has not filled to the end.

    Raises
    ------
    NodeError
        If it is one.
    """
    if (folder / RESTORING).exists():
        raise NodeError(
            f"{folder}: a restore into it is under way, or was broken off: then folder and database"
            " hold a part of the backup, so empty both, and restore again"
        )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise _kind(fault)(
            f"[storage] folder: expected one that can be made, got {folder} ({fault.strerror})"
        ) from fault


def _kind(fault: OSError) -> type[NodeError]:
    """Tell a disk that is full, or read-only, from what does not pass."""
    return FolderAway if fault.errno in {errno.EROFS, *FULL} else NodeError


def _starts_alone(starting: int, unseen: Path, ending: threading.Event) -> bool:
    """Start alone, or wait for one that does: it looks at all files first.

    Where that one was killed meanwhile, one of those that wait starts alone in its place.
    """
    is_told = False
    while not _takes(starting, fcntl.LOCK_EX):
        if _takes(starting, fcntl.LOCK_SH):
            if not unseen.exists():
                return False
            fcntl.flock(starting, fcntl.LOCK_UN)
        if not is_told:
            log.info("receiver_waits")
            is_told = True
        if ending.wait(LOOK_SECONDS):
            raise NodeError("ended while it waited for a receiver that starts alone")
    return True


def _take(lock: int, kind: int, otherwise: str) -> None:
    """Take a lock of a kind, or say why that cannot be."""
    if not _takes(lock, kind):
        raise AlreadyRunning(otherwise)


def _takes(lock: int, kind: int) -> bool:
    """Try to take a lock of a kind."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _opened(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
    try:
        descriptor = os.open(path, flags, 0o600)
        if flags & os.O_CREAT:
            give_to_owner_of_folder(path)
    except OSError as fault:
        raise _kind(fault)(
            f"[storage] folder: expected one that can be written, got {path.parent}"
            f" ({fault.strerror})"
        ) from fault
    try:
        yield descriptor
    finally:
        os.close(descriptor)
