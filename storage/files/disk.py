"""Measure free disk space, fill and remove files and folders, and name them where a disk fails."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

GIGABYTE = 10**9  #: bytes
BLOCK_BYTES = 1 << 20  #: of a file, read at once
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})  #: of the errors for a full disk


def no_room(free: int, reserve: int) -> str:
    """Say that the reserve is in use; both are bytes."""
    return (
        "instances are refused (A700): expected more free space than the reserve of"
        f" {reserve / GIGABYTE:g} GB, got {free / GIGABYTE:.1f} GB"
    )


def disk_free(folder: Path) -> int:
    """Measure the free space of a folder's disk, bytes."""
    return shutil.disk_usage(folder).free


@contextmanager
def naming(place: Path, *beside: Path) -> Iterator[None]:
    """Have faults name a place: the system names none where a file cannot be written or read.

    Parameters
    ----------
    beside
        Paths that nobody knows of, in which the place is written first: it is named instead.
    """
    try:
        yield
    except OSError as fault:
        if fault.errno is None or fault.filename not in (None, *map(str, beside)):
            raise
        raise OSError(fault.errno, fault.strerror, str(place)) from fault


def blocks_of(file: Path) -> Iterator[bytes]:
    """Read a file, block by block; faults name it."""
    with file.open("rb") as stream:
        while True:
            with naming(file):
                block = stream.read(BLOCK_BYTES)
            if not block:
                return
            yield block


def sync_directory(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def give_to_owner_of_folder(path: Path) -> None:
    """Give what root has made to the owner of its folder; any other user owns what it makes."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid, follow_symlinks=False)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        shutil.rmtree(path)


@contextmanager
def filled(folder: Path, mode: int = 0o777) -> Iterator[None]:
    """Make a folder, if it is not there, and have the block fill it.

    If the block breaks off, what it has put there is removed, and the folder if it was made.

    Parameters
    ----------
    mode
        Of the folder, if it is made, less the mask of the process.

    Raises
    ------
    OSError
        If the folder cannot be made or written: the error names the folder, or what is in it.
    """
    is_new = not folder.exists()
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=mode)
        before = set(folder.iterdir())
        try:
            yield
        except BaseException:
            for path in set(folder.iterdir()) - before:
                remove(path)
            if is_new:
                with suppress(OSError):
                    folder.rmdir()
            raise
