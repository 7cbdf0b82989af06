"""Write files whole: for their owner alone, or with mode and owner of another; synced."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def write_file(path: Path, data: bytes, like: os.stat_result | None = None) -> None:
    """Write a file for its owner alone, or with mode and owner of another; sync it."""
    path.unlink(missing_ok=True)  # left by a crash
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        if like is not None:
            own = os.fstat(file.fileno())
            if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
                os.fchown(file.fileno(), like.st_uid, like.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring to the disk which files a folder has."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
