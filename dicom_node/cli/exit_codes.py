"""Exit statuses of the command line: the one table, of which the documentation is made."""

from __future__ import annotations

import errno
import signal
from enum import IntEnum

from config.errors import SettingsError
from dicom_node.errors import Busy, EngineAway, FolderAway, UsageError
from storage.errors import (
    DatabaseDamaged,
    DatabaseUnavailable,
    LeaseLost,
    StorageFull,
    StorageUnwritable,
)
from storage.files.disk import FULL

PASSING = (
    Busy,
    EngineAway,
    FolderAway,
    DatabaseUnavailable,
    StorageFull,
    StorageUnwritable,
)
"""Faults of the moment: the same command may succeed later."""

OF_DISKS = FULL | {errno.EROFS}  #: the same, of files elsewhere: a disk is full, or read-only

FOR_GOOD = (DatabaseDamaged, LeaseLost)  #: those of them that only an operator can end


class ExitStatus(IntEnum):
    """Exit statuses; none of them is ever used for anything else."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    SETTINGS = 3
    LATER = 4
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS = {
    ExitStatus.DONE: "what was asked was done, or is in order",
    ExitStatus.FAULT: "it was not done, or something is not in order: the reason is a sentence on"
    " standard error, or a list of findings (`check`, `doctor`, `ready`, `backup verify`)",
    ExitStatus.USAGE: "the command line cannot be understood; nothing was done",
    ExitStatus.SETTINGS: "the INI file is faulty or cannot be read; every fault is named, nothing"
    " was done",
    ExitStatus.LATER: "database, storage folder or engine are away, full, read-only or busy at the"
    " moment, or the disk that was to be written is full or read-only: the same may succeed later",
    ExitStatus.HUNG_UP: "its terminal was closed (SIGHUP)",
    ExitStatus.INTERRUPTED: "ended by Ctrl-C",
    ExitStatus.TERMINATED: "asked to end (SIGTERM); like the two above it leaves nothing half made",
}


BY_SIGNAL = {signal.SIGHUP: ExitStatus.HUNG_UP, signal.SIGTERM: ExitStatus.TERMINATED}


def status_of(fault: Exception) -> ExitStatus:
    """Choose the exit status of a command that ended with a fault."""
    if isinstance(fault, SettingsError):
        return ExitStatus.SETTINGS
    if isinstance(fault, UsageError):
        return ExitStatus.USAGE
    if isinstance(fault, PASSING) and not isinstance(fault, FOR_GOOD):
        return ExitStatus.LATER
    if isinstance(fault, OSError) and fault.errno in OF_DISKS:
        return ExitStatus.LATER
    return ExitStatus.FAULT


def exit_table() -> str:
    """Table of the exit statuses, in Markdown."""
    rows = [f"| {status:d} | {MEANINGS[status]} |" for status in ExitStatus]
    return "\n".join(("| status | meaning |", "|---|---|", *rows)) + "\n"
