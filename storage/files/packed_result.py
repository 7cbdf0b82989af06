"""Files of a result packed as one, so that they are there as a whole or not at all."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from storage.errors import StorageError
from storage.files.disk import sync_directory
from storage.files.folder import PLAIN


def pack(folder: Path, to: Path) -> None:
    """Pack the files of a folder, uncompressed: most of them are compressed, or small."""
    with zipfile.ZipFile(to, "x", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.iterdir()):
            if file.is_file():
                archive.write(file, file.name)


def unpack(packed: Path, to: Path) -> None:
    """Unpack into a new folder, synchronised.

    Raises
    ------
    StorageError
        If a name could lead out of the folder: somebody else has put that.
    """
    to.mkdir()
    with zipfile.ZipFile(packed) as archive:
        for name in archive.namelist():
            if not PLAIN.fullmatch(name):
                raise StorageError(f"expected the files of a result, got one named {name[:40]!r}")
            with (to / name).open("xb") as file:
                file.write(archive.read(name))
                file.flush()
                os.fsync(file.fileno())
    sync_directory(to)
