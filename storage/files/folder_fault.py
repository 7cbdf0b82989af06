"""Say why a storage folder cannot be worked with at the moment."""

from __future__ import annotations

import os
from pathlib import Path

from storage.files.folder import INCOMING, QUARANTINE, RESULTS, TEMPORARY, StorageFolder
from storage.files.installation import installation_of

FOLDERS = (INCOMING, RESULTS, QUARANTINE, TEMPORARY)  #: between which files are renamed


def storage_fault(folder: StorageFolder) -> str:
    """Say what ails the storage of a running node, folder and bucket; empty if nothing does.

    While it is away, or cannot be written, nothing may be judged by it: every file would count as
    lost, and every series and result as failed.
    """
    return folder_fault(folder.root) or folder.away()


def folder_fault(root: Path) -> str:
    """Say what ails a storage folder; empty if nothing does."""
    try:
        known = installation_of(root)
    except OSError as fault:
        return f"{root} cannot be read: {fault.strerror}"
    if not known:
        return f"{root} is not the one this node began with: is it mounted?"
    for folder in (root / name for name in FOLDERS):
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return (
                f"{folder} cannot be written: see that it is there and belongs to the node's user,"
                " and that its disk is not mounted for reading only"
            )
    try:
        devices = {(root / name).stat().st_dev for name in FOLDERS}
    except OSError as fault:  # it went a moment ago
        return f"{root} cannot be read: {fault.strerror}"
    if len(devices) > 1:
        return (
            f"{', '.join(FOLDERS)} in {root} are not on one file system: mount, or link, the"
            " storage folder as a whole"
        )
    return ""
