"""Model of a disk: the contents and names that a power cut would leave, as last synchronised.

The real `os.fsync`, `os.rename` and `os.replace` run; this watches them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

NEVER_WRITTEN = b"(whatever the disk held before)"  #: content of a name that was never synchronised
Tree = dict[str, bytes]


class PowerCut:
    """A model of the disk below a folder.

    Attributes
    ----------
    moments
        What a power cut would have left, after every synchronisation.
    early
        Names given to files whose contents were not on the disk yet.
    """

    def __init__(self, root: Path, before_sync: Callable[[Path], None] = lambda path: None) -> None:
        self._root, self._before_sync = root, before_sync
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self.moments: list[Tree] = []
        self.early: list[str] = []
        for path in (root, *root.rglob("*")):
            self._synchronise(path)

    def left(self) -> Tree:
        """Files that a power cut now would leave, by their relative path."""
        return dict(self._walk(self._root.stat().st_ino, ""))

    def now(self) -> Tree:
        """Files that are there."""
        return {
            path.relative_to(self._root).as_posix(): path.read_bytes()
            for path in self._root.rglob("*")
            if path.is_file()
        }

    @contextmanager
    def watching(self) -> Iterator[PowerCut]:
        """Watch every call of this process."""
        fsync, rename, replace = os.fsync, os.rename, os.replace

        def watched_fsync(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            self._before_sync(path)
            fsync(descriptor)
            if path.is_relative_to(self._root):
                self._synchronise(path)
                self.moments.append(self.left())

        def watched(act: Callable[..., None]) -> Callable[..., None]:
            def move(source: Any, target: Any, **more: Any) -> None:  # noqa: ANN401  # as os has them
                if Path(target).is_relative_to(self._root) and not self._is_on_disk(Path(source)):
                    self.early.append(Path(target).relative_to(self._root).as_posix())
                act(source, target, **more)

            return move

        with (
            patch("os.fsync", watched_fsync),
            patch("os.rename", watched(rename)),
            patch("os.replace", watched(replace)),
        ):
            yield self

    def _synchronise(self, path: Path) -> None:
        number = path.stat().st_ino
        if path.is_dir():
            self._names[number] = {}
            for entry in os.scandir(path):
                self._names[number][entry.name] = entry.inode()
                if entry.is_dir():
                    self._names.setdefault(entry.inode(), {})
        else:
            self._contents[number] = path.read_bytes()

    def _is_on_disk(self, path: Path) -> bool:
        if path.is_dir():
            names = self._names.get(path.stat().st_ino, {})
            return all(item.name in names and self._is_on_disk(item) for item in path.iterdir())
        return self._contents.get(path.stat().st_ino) == path.read_bytes()

    def _walk(self, folder: int, prefix: str) -> Iterator[tuple[str, bytes]]:
        for name, number in self._names[folder].items():
            if number in self._names:
                yield from self._walk(number, f"{prefix}{name}/")
            else:
                yield f"{prefix}{name}", self._contents.get(number, NEVER_WRITTEN)
