"""Write a file that must not be there yet, for this user alone: whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dicom_node.errors import NodeError
from storage.files.disk import naming


@contextmanager
def new_file(file: Path) -> Iterator[BinaryIO]:
    """Open what becomes the file when the block ends; if it breaks off, nothing is left.

    It is written beside, and synced, so that a crash leaves no file that looks whole.

    Raises
    ------
    NodeError
        If the file is there, before or after it was written; that one stays as it is.
    OSError
        If it cannot be written: the error names the file.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}.part")
    _require_new(file)
    with naming(file, beside):
        beside.unlink(missing_ok=True)  # left by a crash
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            _name(beside, file)
        finally:
            beside.unlink(missing_ok=True)


def _name(beside: Path, file: Path) -> None:
    """Give a file its name, which no other has got meanwhile."""
    try:
        file.hardlink_to(beside)
    except FileExistsError as fault:
        raise _not_new(file) from fault
    except OSError:  # a file system without links, as of many a memory stick
        _require_new(file)
        beside.rename(file)


def _require_new(file: Path) -> None:
    if os.path.lexists(file):
        raise _not_new(file)


def _not_new(file: Path) -> NodeError:
    return NodeError(f"expected a new file, got {file}")
