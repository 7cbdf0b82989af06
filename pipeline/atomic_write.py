"""Write a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(file: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write beside, sync, rename, sync the name: a crash leaves the old file or the new one.

    Parameters
    ----------
    mode
        Of the file, less the mask of the process.

    Raises
    ------
    OSError
        If it cannot be written: the error names the file, and nothing is left beside it.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as fault:
        raise OSError(fault.errno, fault.strerror, str(file)) from fault
