"""Which installation this is: an identity drawn once, and kept in the storage folder."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from storage.files.disk import sync_directory
from storage.files.folder import TEMPORARY

STATION = "station"  #: name of the file


def installation_of(folder: Path) -> str:
    """Read the identity; empty where no node has run yet."""
    try:
        return (folder / STATION).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def draw_installation(folder: Path) -> None:
    """Draw the identity of a storage folder that has none; on return it survives a power cut."""
    if installation_of(folder):
        return
    fresh = folder / TEMPORARY / uuid.uuid4().hex
    with fresh.open("x", encoding="ascii") as file:
        file.write(f"{uuid.uuid4()}\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(folder / STATION)
    sync_directory(folder)
