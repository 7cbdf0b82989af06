"""Copy the files of a backup, for this user alone, with their digests."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from storage.errors import StorageError
from storage.files.disk import blocks_of, naming


def digest_of(path: Path) -> str:
    """Read a file and give its SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(backup: Path, names: Iterable[str]) -> int:
    """Give the size of some files of a backup together, bytes."""
    return sum((backup / name).stat().st_size for name in names)


def own_folder(folder: Path) -> None:
    """Make a folder, and those above it, for this user alone; leave one that is there as it is."""
    if not folder.exists():
        own_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def for_us(path: str, flags: int) -> int:
    """Open a file that nobody but this user may read; an opener of :func:`open`."""
    return os.open(path, flags, 0o600)


def copy_file(source: Path, to: Path, digest: str = "") -> str:
    """Copy a file; on return it is on the disk, its name not yet. Return its SHA-256.

    Parameters
    ----------
    digest
        The SHA-256 that it must have, if it is known.

    Raises
    ------
    StorageError
        If it has another; the copy is left where it is.
    OSError
        If one of the two cannot be read or written: the error names it.
    """
    own_folder(to.parent)
    summed = hashlib.sha256()
    with naming(to), open(to, "xb", opener=for_us) as there:
        for block in blocks_of(source):
            summed.update(block)
            there.write(block)
        there.flush()
        os.fsync(there.fileno())
    if digest and summed.hexdigest() != digest:
        raise StorageError(f"{source}: its bytes are not those of its digest")
    return summed.hexdigest()
