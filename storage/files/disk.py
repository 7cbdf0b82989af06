"""Measure free disk space, and rename and remove files so that a power cut loses nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


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


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        shutil.rmtree(path)
