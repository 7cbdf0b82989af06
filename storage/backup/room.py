"""Tell how much room a backup takes, before it is made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from storage.backup.digest_list import sums_text
from storage.errors import StorageFull
from storage.files.disk import disk_free

ANY_DIGEST = "0" * 64  #: as long as any other in the list
DESCRIPTION_BYTES = 4096  #: at most, of what describes the backup


def room_for(files: Mapping[str, int], block: int) -> int:
    """Give the room that the files of a backup take with their list, bytes.

    Parameters
    ----------
    files
        Size of each, bytes, by its path in the backup.
    block
        The least that a file, or a folder, takes on that disk, bytes.
    """
    folders = {parent for path in files for parent in Path(path).parents}
    sums = len(sums_text(dict.fromkeys(files, ANY_DIGEST)))
    sizes = (*files.values(), sums, DESCRIPTION_BYTES)
    return sum(-(-size // block) for size in sizes) * block + len(folders) * block


def sizes_of(sources: Mapping[str, Path]) -> dict[str, int]:
    """Give the sizes of files that are to be copied, bytes, by their paths in the backup."""
    return {path: source.stat().st_size for path, source in sources.items()}


def require_room(backup: Path, files: Mapping[str, int]) -> None:
    """Check that the files of a backup will find room in its folder.

    Raises
    ------
    StorageFull
        If they will not.
    """
    size = room_for(files, os.statvfs(backup).f_frsize)
    if size > (free := disk_free(backup)):
        raise StorageFull(f"{backup.parent}: expected room for {size:,} bytes, got {free:,}")
