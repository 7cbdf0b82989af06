"""Identity of the installation, drawn once at random and kept in the storage folder."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from storage.errors import StorageError
from storage.files.disk import sync_directory
from storage.files.folder import PLAIN, TEMPORARY

STATION = "station"  #: name of the file


def installation_of(folder: Path) -> str:
    """Read the identity of the installation; empty before the first start of a node.

    Raises
    ------
    StorageError
        If the file holds something else.
    """
    path = folder / STATION
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        text = "?"
    if text and not PLAIN.fullmatch(text):
        raise StorageError(
            f"{path}: expected the identity of the installation, one word, got something else:"
            " restore this file from a backup"
        )
    return text


def draw_installation(folder: Path) -> None:
    """Draw an identity for a storage folder without one; on return it survives a power cut."""
    if installation_of(folder):
        return
    temporary = folder / TEMPORARY / uuid.uuid4().hex
    with temporary.open("x", encoding="ascii") as file:
        file.write(f"{uuid.uuid4()}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(folder / STATION)
    sync_directory(folder)
