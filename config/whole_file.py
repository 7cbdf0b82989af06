"""Write files whole: for their owner alone, or with mode and owner of another; synced.

A command that the administrator runs leaves what it writes to whose file it is about.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"


def write_file(
    path: Path,
    data: bytes,
    *,
    like: os.stat_result | None = None,
    owner: os.stat_result | None = None,
) -> None:
    """Write a file for its owner alone, or with mode and owner of another; sync it.

    Parameters
    ----------
    like
        Whose mode, owner and group it gets.
    owner
        Whose owner and group it gets where that is allowed, else as it is.

    Raises
    ------
    OSError
        If it cannot be written, or not be made like the other.
    """
    path.unlink(missing_ok=True)  # left by a crash
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        if like is not None:
            own = os.fstat(file.fileno())
            if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))
        elif owner is not None:
            give(file.fileno(), owner)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def give(descriptor: int, owner: os.stat_result) -> None:
    """Give what is ours to another's owner and group, where that is allowed; else it stays."""
    own = os.fstat(descriptor)
    wanted = (owner.st_uid, owner.st_gid)
    is_ours = own.st_uid == os.geteuid() and (stat.S_ISDIR(own.st_mode) or own.st_nlink == 1)
    if is_ours and (own.st_uid, own.st_gid) != wanted:
        with suppress(OSError):
            os.fchown(descriptor, *wanted)


def sync_folder(folder: Path) -> None:
    """Bring to the disk which files a folder has."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def alone_in(folder: Path, owner: os.stat_result) -> Iterator[None]:
    """Hold a folder, so that nobody else writes there; make it, for one owner alone.

    Raises
    ------
    OSError
        If that cannot be done.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    # The folder may be a link to one elsewhere; what is there is not given away.
    with suppress(OSError), _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        give(descriptor, owner)
    with _opened(folder / LOCK, os.O_RDWR | os.O_CREAT) as descriptor:
        give(descriptor, owner)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """Open a file, but none that a link names: it may be another's."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
