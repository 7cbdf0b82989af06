"""Lock the storage folder, so that one node at a time uses it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_node.errors import AlreadyRunning, NodeError

LOCK = "node.lock"  #: held by the process that uses the folder, against others
#: Held too, but shared: `is_running` tries it for a moment, which keeps no node from starting.
RUNNING = "node.running"


@contextmanager
def only_node(folder: Path) -> Iterator[None]:
    """Hold the storage folder for this process; the system releases it however the process ends.

    Raises
    ------
    AlreadyRunning
        If another node holds it.
    NodeError
        If the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise NodeError(
            f"[storage] folder: expected one that can be made, got {folder} ({fault.strerror})"
        ) from fault
    with _opened(folder / LOCK) as lock, _opened(folder / RUNNING) as running:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise AlreadyRunning(
                f"another node uses the storage folder {folder}: stop it first"
            ) from taken
        fcntl.flock(running, fcntl.LOCK_SH)
        yield


def is_running(folder: Path) -> bool:
    """Say whether a process holds the storage folder; asking never keeps a node from starting.

    Raises
    ------
    NodeError
        If the folder cannot be read.
    """
    if not (folder / RUNNING).exists():
        return False
    with _opened(folder / RUNNING, os.O_RDONLY) as running:  # it may be mounted for reading only
        try:
            fcntl.flock(running, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def _opened(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as fault:
        raise NodeError(
            f"[storage] folder: expected one that can be written, got {path.parent}"
            f" ({fault.strerror})"
        ) from fault
    try:
        yield descriptor
    finally:
        os.close(descriptor)
