"""Measure free disk space, and rename and remove files so that a power cut loses nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

GIGABYTE = 10**9  #: bytes


def no_room(free: int, reserve: int) -> str:
    """Say that the reserve is in use; both are bytes."""
    return (
        "instances are refused (A700): expected more free space than the reserve of"
        f" {reserve / GIGABYTE:g} GB, got {free / GIGABYTE:.1f} GB"
    )


def disk_free(folder: Path) -> int:
    """Measure the free space of a folder's disk, bytes."""
    return shutil.disk_usage(folder).free


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
