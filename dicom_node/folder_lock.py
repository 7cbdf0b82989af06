"""One node to a storage folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_node.errors import AlreadyRunning, NodeError

HELD = "node.lock"  #: by the one that uses the folder, against others
SHOWN = "node.running"  #: shared by it for `is_running`, which holds it for a moment itself


@contextmanager
def only_node(folder: Path) -> Iterator[None]:
    """Hold the storage folder for this process; the system lets go whatever ends it.

    Raises
    ------
    AlreadyRunning
        If another node holds it.
    NodeError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise NodeError(
            f"[storage] folder: expected one that can be made, got {folder} ({fault.strerror})"
        ) from fault
    with _opened(folder / HELD) as held, _opened(folder / SHOWN) as shown:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise AlreadyRunning(
                f"another node uses the storage folder {folder}: stop it first"
            ) from taken
        fcntl.flock(shown, fcntl.LOCK_SH)
        yield


def is_running(folder: Path) -> bool:
    """Say whether a process holds the storage folder; that never keeps one from starting."""
    if not (folder / SHOWN).exists():
        return False
    with _opened(folder / SHOWN) as shown:
        try:
            fcntl.flock(shown, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
