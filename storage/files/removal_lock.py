"""Lock that keeps files from being removed while a backup reads them."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

REMOVAL_LOCK = "removal.lock"  #: file in the storage folder


@contextmanager
def nothing_removed(folder: Path) -> Iterator[None]:
    """Keep files from being removed; wait for a removal that is under way.

    From a read-only disk nothing is removed, and no lock can be made there.
    """
    with ExitStack() as opened:
        try:
            fcntl.flock(opened.enter_context(_opened(folder)), fcntl.LOCK_SH)
        except OSError as fault:
            if fault.errno != errno.EROFS:
                raise
        yield


@contextmanager
def may_remove(folder: Path) -> Iterator[bool]:
    """Say whether files may be removed now; while they are, a backup waits."""
    with _opened(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder / REMOVAL_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
