"""Keep fetched files in a folder of the worker's user alone, and none beyond its task.

Each task has a folder in it, locked while its process lives. One that nobody holds was left by a
process that was killed: whoever comes next removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_node.analysis.fetch.stream import MOST_BYTES
from dicom_node.errors import NodeError, NotFetched

OF_A_TASK = "task-"  #: how the names of the folders of tasks begin; nothing else is touched


class PrivateFolder:
    """The folder that `[engine] fetch_folder` names; several processes may share it.

    Parameters
    ----------
    most_bytes
        Room that one task may need.
    """

    def __init__(self, root: Path, most_bytes: int = MOST_BYTES) -> None:
        self._root, self._most_bytes = root, most_bytes

    def prepare(self) -> None:
        """Make the folder, and remove what killed processes have left there.

        Raises
        ------
        NodeError
            If it cannot be made, is open to other users, or has too little room.
        """
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._root.lstat()
            if found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise NodeError(self._expected("one of this user alone (mode 700)"))
            with self._locked():
                self._sweep()
            free = shutil.disk_usage(self._root).free
        except OSError as fault:
            why = fault.strerror or type(fault).__name__
            raise NodeError(f"{self._expected('one that can be made')} ({why})") from fault
        if free < self._most_bytes:
            raise NodeError(
                f"{self._expected(f'room for {_gb(self._most_bytes)} GB')}, where"
                f" {_gb(free)} GB are free"
            )

    def _expected(self, what: str) -> str:
        return f"[engine] fetch_folder: expected {what}, got {self._root}"

    @contextmanager
    def of_a_task(self) -> Iterator[Path]:
        """Have a new folder for the length of a task.

        Raises
        ------
        NotFetched
            If there can be none.
        """
        try:
            with self._locked():
                self._sweep()
                folder = Path(tempfile.mkdtemp(dir=self._root, prefix=OF_A_TASK))  # mode 700
                held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(held, fcntl.LOCK_EX)
        except OSError as fault:
            why = fault.strerror or type(fault).__name__
            raise NotFetched(f"no folder can be made in {self._root}: {why}") from fault
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)

    def _sweep(self) -> None:
        """Remove the folders that no process holds; only while `_locked`."""
        for folder in self._root.glob(f"{OF_A_TASK}*"):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            except BlockingIOError:
                pass
            finally:
                os.close(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the whole folder: nobody begins one that another takes for left over."""
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f}"
