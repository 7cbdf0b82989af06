"""Files that are kept for good: whole, on the disk, under names we chose ourselves.

Nothing is at its final path before all of its bytes are on the disk, and nothing is reported
as kept before its name is. What a power cut leaves behind is a temporary file, removed at the
next start, or a whole file nobody was told of.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from storage.errors import StorageFull
from storage.files.disk import disk_free, remove, renew, sync_directory

INCOMING = "incoming"
QUARANTINE = "quarantine"
RESULTS = "results"
TEMPORARY = "tmp"

RESULTS_STOP = 1 / 4  #: share of the reserve that results leave too: it is the database's
LOOK_BYTES = 1 << 20  #: written between two looks at the free space
FULL = {errno.ENOSPC, errno.EDQUOT}  #: what the system says when there is no room
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  #: names that cannot lead out of a folder


def no_step(name: str) -> None:
    """Do nothing; the harness of the crash tests stops here instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """One file that survives a power cut.

    Attributes
    ----------
    path
        Relative to the storage folder, with ``/``.
    digest
        SHA-256 of the bytes without the header, hexadecimal.
    bytes
        Length, header included.
    """

    path: str
    digest: str
    bytes: int


class StorageFolder:
    """The storage folder.

    Parameters
    ----------
    folder
        Made if it is not there.
    reserve_bytes
        Free space that no instance touches: `StorageFull` comes first. Results may use it up to
        `RESULTS_STOP` of it, so that they flow out when no instance is taken any more.
    free
        Measures the free space, bytes.
    step
        Called with the name of each step towards the disk once it is done.
    """

    def __init__(
        self,
        root: Path,
        reserve_bytes: int,
        *,
        free: Callable[[Path], int] = disk_free,
        step: Callable[[str], None] = no_step,
    ) -> None:
        self.root = root
        self._making = root / TEMPORARY
        self.reserve_bytes = reserve_bytes
        self._free, self._step = free, step
        self._naming = threading.Lock()  # what is judged old must not be renewed meanwhile
        for name in (QUARANTINE, RESULTS, TEMPORARY, *_spread()):
            (root / name).mkdir(parents=True, exist_ok=True)
        sync_directory(root / INCOMING)
        sync_directory(root)

    def keep(
        self, chunks: Iterable[bytes | memoryview], *, name_from: str, header: bytes = b""
    ) -> KeptFile:
        """Keep one instance; on return it survives a power cut.

        The same bytes under the same name again are kept once, with the latest header.

        Parameters
        ----------
        header
            Written first, but no part of what the instance is: the Part 10 header of a received
            dataset tells of its last sender, and the same instance may come from several.
        name_from
            What identifies the instance, such as its UID: hashed, never used as a name.

        Raises
        ------
        InboxFull
            If the reserve would be touched, or the disk is full. Nothing is left behind.
        """
        with self._temporary() as temporary:
            with temporary.open("xb", buffering=0) as file:
                self._write(file.write, [header], self.reserve_bytes)
                digest = self._write(file.write, chunks, self.reserve_bytes)
                size = file.tell()
                self._step("written")
                os.fsync(file.fileno())
            self._step("synced")
            kept = KeptFile(path=_path(name_from, digest), digest=digest, bytes=size)
            self._settle(temporary, self.root / kept.path)
        return kept

    def keep_result(self, name: str, files: Mapping[str, bytes]) -> str:
        """Keep the files of one result as a folder, all or none; return its relative path.

        A folder of that name gets these files instead. That is for one without a row in the
        database, which nobody has seen; a result that has one should be reused
        (:func:`storage.delivery.outbox.reuse_result`), for its objects may be in a PACS already.

        Raises
        ------
        InboxFull
            As :meth:`keep`.
        ValueError
            If a name could lead out of the folder.
        """
        for each in (name, *files):
            if not PLAIN.fullmatch(each):
                raise ValueError(f"expected letters, digits, '.', '_' and '-', got {each!r}")
        target = self.root / RESULTS / name
        reserve = int(self.reserve_bytes * RESULTS_STOP)
        self._require(sum(map(len, files.values())), reserve)
        with self._temporary() as temporary:
            temporary.mkdir()
            for each, content in files.items():
                with (temporary / each).open("xb", buffering=0) as file:
                    self._write(file.write, [content], reserve)
                    self._step("written")
                    os.fsync(file.fileno())
            sync_directory(temporary)
            self._step("synced")
            if target.exists():
                renew(temporary, target)
            else:
                self._settle(temporary, target)
        return f"{RESULTS}/{name}"

    def quarantine(self, path: str) -> str:
        """Move a kept file that cannot be understood out of the way; return its new path."""
        source = self.root / path
        target = self.root / QUARANTINE / source.name
        source.rename(target)
        sync_directory(target.parent)
        sync_directory(source.parent)
        return f"{QUARANTINE}/{source.name}"

    def release(self, path: str) -> None:
        """Move a file from quarantine back to where a scan finds it."""
        source = self.root / path
        spread = self.root / INCOMING / source.name[:2]
        target = (spread if spread.is_dir() else spread.with_name("00")) / source.name
        source.rename(target)
        sync_directory(target.parent)
        sync_directory(source.parent)

    def written_at(self, path: str) -> datetime | None:
        """Say when a kept file was written last; None if it is not there."""
        try:
            return datetime.fromtimestamp((self.root / path).stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def discard(self, paths: Iterable[str], *, before: datetime) -> None:
        """Remove kept files and folders of results for good, if they were written `before`.

        What has come again since then under the same name stays. A folder goes as a whole.
        """
        parents = set()
        for path in paths:
            with self._temporary() as going, self._naming:
                written = self.written_at(path)
                if written is not None and written < before:
                    (self.root / path).rename(going)
            self._step("discarded")
            parents.add((self.root / path).parent)
        for parent in sorted(parents):
            sync_directory(parent)

    def paths(self, pattern: str) -> set[str]:
        """List what lies in the folder, by a pattern such as ``results/*``."""
        return {path.relative_to(self.root).as_posix() for path in self.root.glob(pattern)}

    def locate(self, path: str) -> Path:
        """Say where a kept file lies; its relative path comes from the database."""
        return self.root / path

    def scan(self) -> Iterator[KeptFile]:
        """Remove what a crash left half-done, then find every kept instance.

        For the start only, while nobody keeps anything.
        """
        for left in self._making.iterdir():
            remove(left)
        for path in sorted((self.root / INCOMING).glob("*/*.dcm")):
            yield KeptFile(
                path=path.relative_to(self.root).as_posix(),
                digest=path.stem.partition("-")[2],
                bytes=path.stat().st_size,
            )

    def free_bytes(self) -> int:
        """Measure the space above the reserve; negative when the reserve is touched."""
        return self._free(self.root) - self.reserve_bytes

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """Give a fresh name; whatever happens nothing stays there, and no room is `StorageFull`."""
        path = self._making / uuid.uuid4().hex
        try:
            yield path
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise StorageFull(f"expected room for the file, got: {error.strerror}") from error
        finally:
            remove(path)

    def _write(
        self,
        write: Callable[[bytes | memoryview], int],
        chunks: Iterable[bytes | memoryview],
        reserve: int,
    ) -> str:
        """Write all chunks above a reserve; return their digest."""
        digest, granted = hashlib.sha256(), 0
        for chunk in chunks:
            rest = memoryview(chunk).cast("B")
            if granted < len(rest):
                granted = min(self._require(len(rest), reserve), max(len(rest), LOOK_BYTES))
            granted -= len(rest)
            digest.update(rest)
            while rest:
                rest = rest[write(rest) :]
        return digest.hexdigest()

    def _require(self, size: int, reserve: int) -> int:
        """Measure the space above a reserve; there must be so many bytes."""
        free = self._free(self.root) - reserve
        if free < size:
            raise StorageFull(f"expected {size} bytes free above the reserve, got {free}")
        return free

    def _settle(self, temporary: Path, target: Path) -> None:
        """Give what is synchronised its final name, and see that the name is on the disk."""
        with self._naming:
            temporary.rename(target)
        self._step("renamed")
        sync_directory(target.parent)
        self._step("directory-synced")


def _spread() -> Iterator[str]:
    """List the folders instances are spread over; all made at the start, so none is made late."""
    return (f"{INCOMING}/{number:02x}" for number in range(256))


def _path(name_from: str, digest: str) -> str:
    """Build the path of an instance from two hashes: of its name, and of its bytes."""
    name = hashlib.sha256(name_from.encode()).hexdigest()
    return f"{INCOMING}/{name[:2]}/{name[:32]}-{digest}.dcm"
