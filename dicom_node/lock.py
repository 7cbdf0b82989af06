"""One node to a storage folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_node.errors import AlreadyRunning


@contextmanager
def only_node(folder: Path) -> Iterator[None]:
    """Hold the storage folder for this process; the system lets go whatever ends it.

    Raises
    ------
    AlreadyRunning
        If another node holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "node.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as held:
        raise AlreadyRunning(f"another node uses the storage folder {folder}") from held
    else:
        yield
    finally:
        os.close(descriptor)
