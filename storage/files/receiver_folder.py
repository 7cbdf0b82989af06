"""Note of the files that a receiver has kept and that have no row yet, so that others can go on.

Several receivers may share a storage folder. Each writes into a folder of its own until a file is
whole, and notes there the name of a file before the file gets it. So what a receiver that has ended
left without a row is found without a look at all files; and one that only seems to have ended puts
nothing more in place once these folders are gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

from storage.files.disk import remove, sync_directory

RECEIVERS = "receivers"  #: in the storage folder
WRITTEN = "tmp"  #: what is being written
TAKEN = "taken"  #: kept files that were old, and are looked at once more before they are removed
NOTED = "noted"  #: an empty file for each kept one that has no row yet


class ReceiverFolder:
    """Folder of one receiver within the storage folder.

    Parameters
    ----------
    root
        The storage folder.
    holder
        Drawn at random by the receiver.
    """

    def __init__(self, root: Path, holder: str) -> None:
        self._root, self._folder = root, root / RECEIVERS / holder
        self.temporary, self._noted = self._folder / WRITTEN, self._folder / NOTED
        self._taken = self._folder / TAKEN

    def make(self) -> None:
        """Make it, for a receiver that begins."""
        self.temporary.mkdir(parents=True)
        self._noted.mkdir()
        self._taken.mkdir()

    def note(self, path: str) -> None:
        """Note that a file is about to get its name, by its path relative to the storage folder.

        Raises
        ------
        OSError
            If others have taken this receiver for ended: the file must not get its name.
        """
        os.close(os.open(self._mark(path), os.O_WRONLY | os.O_CREAT, 0o600))

    def forget(self, paths: Iterable[str]) -> None:
        """Forget files that have rows."""
        for path in paths:
            self._mark(path).unlink(missing_ok=True)

    def noted(self) -> set[str]:
        """Name the notes there are; none if the folder is gone."""
        try:
            return {entry.name for entry in os.scandir(self._noted)}
        except FileNotFoundError:
            return set()

    def paths_of(self, notes: Iterable[str]) -> dict[str, str]:
        """Give the path of the kept file of each note, of those whose file is there."""
        paths = {name: name.replace("_", "/") for name in notes}
        return {name: path for name, path in paths.items() if (self._root / path).is_file()}

    def take_away(self, path: str) -> Path:
        """Take a kept file or folder away from its place, and return where it is.

        Another receiver may have kept it again a moment ago: it is looked at once more, and then
        removed or put back. If we end in between, whoever takes us for ended puts it back.
        """
        taken = self._taken / quote(path, safe="")
        (self._root / path).rename(taken)
        return taken

    def put_back(self, taken: Path) -> None:
        """Put back what was taken away, unless the same is in its place again."""
        target = self._root / unquote(taken.name)
        if target.exists():
            remove(taken)
        else:
            taken.rename(target)
            sync_directory(target.parent)

    def end_writing(self) -> bool:
        """Remove what an ended receiver was writing; True if it can put nothing in place any more.

        Whoever has a file open there by way of the network may hold the folder up for a while.
        """
        try:
            for taken in _within(self._taken):
                self.put_back(taken)
            for path in _within(self.temporary):
                remove(path)
            for folder in (self._taken, self.temporary):
                with suppress(FileNotFoundError):
                    folder.rmdir()
        except OSError:
            return False
        return True

    def remove(self) -> bool:
        """Remove the folder of a receiver that has ended; False if it has noted something since."""
        for folder in (self._noted, self._folder):
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return True

    def drop(self, notes: Iterable[str]) -> None:
        """Remove notes of an ended receiver."""
        for name in notes:
            (self._noted / name).unlink(missing_ok=True)

    def _mark(self, path: str) -> Path:
        return self._noted / path.replace("/", "_")


def _within(folder: Path) -> tuple[Path, ...]:
    try:
        return tuple(folder.iterdir())
    except FileNotFoundError:
        return ()


def holders_with_folders(root: Path) -> list[str]:
    """List the receivers whose folders are there."""
    try:
        return sorted(entry.name for entry in os.scandir(root / RECEIVERS))
    except FileNotFoundError:
        return []
