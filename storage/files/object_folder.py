"""Storage folder of a receiver whose files are in a bucket, and in the folder only as copies.

What is kept is written to the folder as ever, and put into the bucket before anybody is told that
it is kept. What another receiver has put is fetched when it is located: into a temporary file,
compared with its digest, and only then given its name. The folder of a result is one object, so
that it is there as a whole or not at all.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import ObjectDamaged, ObjectsAway, StorageError
from storage.files.disk import disk_free, remove, sync_directory
from storage.files.folder import (
    INSTANCE_FOLDERS,
    LATER,
    QUARANTINE,
    RESULTS,
    TEMPORARY,
    StorageFolder,
)
from storage.files.identity_key import IDENTITY_KEY, KEY_BYTES
from storage.files.installation import STATION
from storage.files.objects_address import ObjectsAddress
from storage.files.packed_result import pack, unpack

if TYPE_CHECKING:
    from storage.files.object_store import ObjectStore, Version

FETCHES = 8  #: requests at a time: each mostly waits for the service
TRIES = 2  #: to fetch an object whose bytes are not those that were put
CONFIRMED_SECONDS = 5.0  #: for which an answer of the service says that it is there
AWAY_SECONDS = 2.0  #: for which the lack of one says that it is not
UNUSED = timedelta(days=1)  #: after which a copy is removed, and what was left half written
UNUSED_IN_NEED = timedelta(hours=1)  #: the same while the reserve of the disk is in use


class ObjectFolder(StorageFolder):
    """A storage folder with copies of what is in a bucket."""

    def __init__(
        self,
        root: Path,
        reserve_bytes: int,
        store: ObjectStore,
        *,
        free: Callable[[Path], int] = disk_free,
        make: bool = True,
    ) -> None:
        super().__init__(root, reserve_bytes, free=free, make=make)
        self.store = store
        self._using = threading.Lock()  # a copy that is about to be used must not be removed
        self._missed_at = float("-inf")
        self._missed = ""

    @property
    def objects(self) -> ObjectsAddress | None:
        """Where the bucket is."""
        return self.store.address

    def away(self) -> str:
        """Say why the bucket cannot be worked with; empty while it answers."""
        now = time.monotonic()
        if now - self.store.answered_at < CONFIRMED_SECONDS:
            return ""
        if now - self._missed_at >= AWAY_SECONDS:
            self._missed = self._look()
            self._missed_at = time.monotonic()
        return self._missed

    def _look(self) -> str:
        try:
            known = self.store.read(STATION)
        except ObjectsAway as fault:
            return str(fault)
        return "" if known else f"{self.store.url}: is not the bucket that this node began with"

    def publish(self, path: str) -> None:
        """Put a kept file, or the folder of a result, into the bucket; on return it stays there.

        Raises
        ------
        ObjectsAway
            If the bucket does not take it.
        StorageFull
            If the folder of a result cannot be packed.
        """
        source = self.root / path
        if source.is_file():
            self.store.put(path, source)
            return
        with self._temporary() as packed:
            pack(source, packed)
            self.store.put(path, packed)

    def keep_result(self, name: str, files: Mapping[str, bytes], *, part: str = "") -> str:
        """Keep the files of one result, all or none, here and in the bucket; see the base.

        Raises
        ------
        StorageFull, StorageUnwritable, ValueError
            As the base.
        ObjectsAway
            If the bucket does not take them.
        """
        if part:
            self.locate(f"{RESULTS}/{name}")  # the folder that it comes into
        path = super().keep_result(name, files, part=part)
        if not self.store.versions(path):
            self.publish(path)
        return path

    def quarantine(self, path: str) -> str:
        """Move a kept file to quarantine, here and in the bucket; return its new path."""
        return self._moved(path, super().quarantine)

    def quarantined(self) -> int:
        """Count the files in quarantine."""
        return len(self.store.paths(QUARANTINE))

    def release(self, path: str) -> str:
        """Move a file from quarantine back to the incoming instances; return its new path."""
        return self._moved(path, super().release)

    def _moved(self, path: str, move: Callable[[str], str]) -> str:
        """Move a kept file, here and in the bucket, where the new one comes before the old goes."""
        self.locate(path)
        moved = move(path)
        self.publish(moved)
        self.store.remove([version.key for version in self.store.versions(path)])
        return moved

    def written_at(self, path: str) -> datetime | None:
        """Give the time a kept file was last put; None if it is not there."""
        versions = self.store.versions(path)
        return versions[-1].at if versions else None

    def last_written_at(self, paths: Iterable[str]) -> datetime | None:
        """Give the time the latest of some kept files was last put; None if none is there."""
        found = self._versions_of(paths)
        times = (versions[-1].at for versions in found.values() if versions)
        return max(times, default=None)

    def discard(self, paths: Iterable[str], *, before: datetime) -> dict[str, str]:
        """Remove what was put `before` a time, from the bucket and here; see the base.

        What is put again later, or at this moment, is another object, and stays.
        """
        wanted = list(paths)
        try:
            found = self._versions_of(part for path in wanted for part in _parts(path))
            versions = {path: [v for part in _parts(path) for v in found[part]] for path in wanted}
            old = [v.key for those in versions.values() for v in those if v.at < before]
            self.store.remove(old)
        except ObjectsAway as fault:
            return dict.fromkeys(wanted, str(fault))
        for path, those in versions.items():
            if all(version.at < before for version in those):
                self._remove_copy(path)
        return {}

    def _versions_of(self, paths: Iterable[str]) -> dict[str, list[Version]]:
        """List the objects of several paths, several at a time."""
        wanted = sorted(set(paths))
        with ThreadPoolExecutor(FETCHES) as pool:
            return dict(zip(wanted, pool.map(self.store.versions, wanted), strict=True))

    def paths_in(self, place: str, ending: str = "") -> set[str]:
        """List what the bucket has of one folder, by paths relative to the storage folder."""
        if place == TEMPORARY:
            return super().paths_in(place, ending)
        return {
            path
            for path in self.store.paths(place)
            if path.rpartition("/")[0] == place and path.endswith(ending)
        }

    def absent(self, paths: Iterable[str]) -> set[str]:
        """Tell which of some kept files are not in the bucket."""
        wanted = {path: _object_of(path) for path in paths}
        versions = self._versions_of(wanted.values())
        return {path for path, kept in wanted.items() if not versions[kept]}

    def absent_in(self, place: str, paths: Iterable[str]) -> set[str]:
        """Tell which files of a kept result are not in the bucket."""
        return self.absent(paths)

    def bring(self, paths: Iterable[str]) -> None:
        """Fetch several files at a time that are not in the folder.

        Raises
        ------
        ObjectsAway
            If the bucket cannot be reached.
        """
        missing = {_object_of(path) for path in paths if not (self.root / path).exists()}
        if missing:
            with ThreadPoolExecutor(FETCHES) as pool:
                list(pool.map(self.locate, sorted(missing)))

    def locate(self, path: str) -> Path:
        """Give the absolute path of a kept file, fetched if need be; what is missing is not there.

        Raises
        ------
        ObjectsAway
            If the bucket cannot be reached.
        StorageFull
            If the disk is full.
        """
        kept = _object_of(path)
        if not self._is_here(kept):
            if kept.endswith(f"/{LATER}"):
                self.locate(kept.removesuffix(f"/{LATER}"))  # the folder that it comes into
            self._fetch(kept)
        return self.root / path

    def _is_here(self, path: str) -> bool:
        """Say whether there is a copy, and note that it is used."""
        with self._using:
            try:
                os.utime(self.root / path)
            except PermissionError:  # of who only reads
                return True
            except OSError:
                return False
            return True

    def _fetch(self, path: str) -> None:
        """Fetch the object of a path; a result's are the same, so that of the first one counts."""
        versions = self.store.versions(path)
        if not path.startswith(f"{RESULTS}/"):
            versions.reverse()  # the latest header
        if any(self._fetch_one(path, version) for version in versions for _ in range(TRIES)):
            self.damaged.discard(path)
        elif versions and self.store.versions(path):  # else it was removed meanwhile
            self.damaged.add(path)

    def _fetch_one(self, path: str, version: Version) -> bool:
        with self._temporary() as fetched:
            try:
                if not self.store.fetch(version.key, fetched):
                    return False
            except ObjectDamaged:
                return False
            if path.startswith(f"{RESULTS}/"):
                return self._unpack(fetched, self.root / path)
            fetched.rename(self.root / path)
            return True

    def _unpack(self, packed: Path, to: Path) -> bool:
        """Unpack the files of a result; False if the folder that they come into is not there."""
        with self._temporary() as unpacked:
            unpack(packed, unpacked)
            try:
                unpacked.rename(to)
            except OSError:
                if to.parent.is_dir() and not to.is_dir():  # else another was quicker
                    raise
        return to.is_dir()

    def evict(self, now: datetime) -> int:
        """Remove copies that nobody has used for long, and what was left half written.

        Returns
        -------
        int
            Number of files and folders of results.
        """
        unused = UNUSED_IN_NEED if self.free_bytes() < 0 else UNUSED
        removed = 0
        for place in (*INSTANCE_FOLDERS, QUARANTINE, RESULTS):
            removed += sum(
                self._remove_copy(f"{place}/{name}", before=now - unused)
                for name in _names(self.root / place)
            )
        for name in _names(self.root / TEMPORARY):
            left = self.root / TEMPORARY / name
            with suppress(FileNotFoundError):
                if _used_at(left) < now - UNUSED:
                    remove(left)
        return removed

    def _remove_copy(self, path: str, before: datetime | None = None) -> bool:
        """Remove a copy, unless it was used since a time; False if it was, or there is none."""
        copy = self.root / path
        with self._temporary() as taken, self._using:
            try:
                if before is not None and _used_at(copy) >= before:
                    return False
                copy.rename(taken)
            except FileNotFoundError:
                return False
            return True

    def join_installation(self) -> None:
        """Take part in the installation of the bucket; make it that of a new one if it is empty.

        Its identity and its identity key are objects that are put once; what is here are copies.
        The key is put first: where there is an identity, there is a key.

        Raises
        ------
        ObjectsAway
            If the bucket cannot be reached.
        StorageError
            If the folder is of another installation, or the bucket is empty though the folder is
            of one.
        """
        station, known = self.store.read(STATION), _content(self.root / STATION)
        if station is None and known is not None:
            raise StorageError(
                f"{self.store.url}: expected the bucket of {self.root}, which is of an"
                " installation, got one without: files that are there are not moved to a bucket;"
                " begin with an empty folder and an empty database"
            )
        if station is None:
            self.store.put_once(IDENTITY_KEY, f"{secrets.token_hex(KEY_BYTES)}\n".encode())
            station = self.store.put_once(STATION, f"{uuid.uuid4()}\n".encode())
        if known not in {None, station}:
            raise StorageError(
                f"{self.store.url}: expected the bucket of the installation of {self.root}, got"
                " another's"
            )
        key = self.store.read(IDENTITY_KEY)
        for name, content in ((IDENTITY_KEY, key), (STATION, station)):
            if content is not None and _content(self.root / name) is None:
                self._copy(content, self.root / name)

    def has_installation(self) -> bool:
        """Say whether the bucket is that of an installation."""
        return self.store.read(STATION) is not None

    def _copy(self, content: bytes, to: Path) -> None:
        with self._temporary() as temporary:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(to)
        sync_directory(to.parent)


def _object_of(path: str) -> str:
    """Name the object that holds a file: a result's files are one, and its later ones another."""
    parts = path.split("/")
    if parts[0] != RESULTS:
        return path
    return "/".join(parts[: 3 if len(parts) > 2 and parts[2] == LATER else 2])


def _parts(path: str) -> tuple[str, ...]:
    """Name the objects that make up a kept path: a result may have later files."""
    return (path, f"{path}/{LATER}") if path.startswith(f"{RESULTS}/") else (path,)


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  # a tenth of pathlib's time
    except FileNotFoundError:
        return []


def _used_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
