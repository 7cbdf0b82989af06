"""Keep instances and results as files that survive a power cut, under names of our own.

A file gets its final path only when all of its bytes are on the disk, and is reported as kept
only when its name is. A power cut leaves behind a temporary file, removed at the next start, or
a whole file that was never reported as kept.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from storage.errors import StorageFull, StorageUnwritable
from storage.files.disk import FULL, disk_free, remove, sync_directory
from storage.files.objects_address import ObjectsAddress
from storage.files.receiver_folder import ReceiverFolder, holders_with_folders

INCOMING = "incoming"
QUARANTINE = "quarantine"
RESULTS = "results"
TEMPORARY = "tmp"
INSTANCE_FOLDERS = tuple(f"{INCOMING}/{number:02x}" for number in range(256))
"""Folders that instances are spread over; all are made at the start."""
INSTANCE_ENDING = ".dcm"  #: of the names of instances
LATER = "later"  #: within the folder of a result: what is encoded after the rest was kept

RESULTS_STOP = 1 / 4  #: share of the reserve that results leave to the database
CHECK_BYTES = 1 << 20  #: written between two checks of the free space
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  #: a file name that cannot lead out of a folder


def no_step(name: str) -> None:
    """Do nothing; the crash tests hand in a function that kills the process here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """One kept file.

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
    """The storage folder: incoming instances, quarantine and results.

    Parameters
    ----------
    root
        Path of the folder.
    reserve_bytes
        Free space that instances do not use: they get `StorageFull` instead. Results may use it
        down to `RESULTS_STOP` of it, so that deliveries go on when instances are refused.
    free
        Measures the free space, bytes.
    step
        Called with the name of each step of writing to the disk, after the step.
    make
        Whether to make the folders within it; not for who only reads what is there.

    Attributes
    ----------
    damaged
        Paths of which the bucket has nothing but what was not put so; they count as missing.
    """

    def __init__(
        self,
        root: Path,
        reserve_bytes: int,
        *,
        free: Callable[[Path], int] = disk_free,
        step: Callable[[str], None] = no_step,
        make: bool = True,
    ) -> None:
        self.root = root
        self._temporary_folder = root / TEMPORARY
        self.reserve_bytes = reserve_bytes
        self._free, self._step = free, step
        self.damaged: set[str] = set()
        self._receiver: ReceiverFolder | None = None
        self._naming = threading.Lock()  # a file found old must not be replaced before its removal
        if make:
            self._make_folders()

    def _make_folders(self) -> None:
        root = self.root
        new = [folder for folder in (root, *root.parents) if not folder.exists()]
        try:
            for name in (QUARANTINE, RESULTS, TEMPORARY, *INSTANCE_FOLDERS):
                (root / name).mkdir(parents=True, exist_ok=True)
            for folder in (root / INCOMING, root, *(folder.parent for folder in new)):
                sync_directory(folder)
        except OSError as fault:
            raise StorageUnwritable(_cannot_be_made(root, fault)) from fault

    @property
    def objects(self) -> ObjectsAddress | None:
        """Where the bucket is that its files are in, of which it has copies; None without one."""
        return None

    def away(self) -> str:
        """Say why what is beyond the folder, if anything is, cannot be worked with."""
        return ""

    def publish(self, path: str) -> None:
        """Give a kept file to the other receivers: to those that share the folder, it is given."""

    def bring(self, paths: Iterable[str]) -> None:
        """Fetch what will be located next and is not in the folder."""

    def share(self, receiver: ReceiverFolder) -> None:
        """Share the storage folder with other receivers from now on, as the one of that folder."""
        self._receiver, self._temporary_folder = receiver, receiver.temporary

    def note(self, path: str) -> None:
        """Note a kept file that has no row yet, for the case that we end before it has one."""
        if self._receiver is not None:
            self._receiver.note(path)

    def noted(self) -> set[str]:
        """Name the kept files that receivers which share the folder have noted; else none."""
        if self._receiver is None:
            return set()
        folders = (ReceiverFolder(self.root, holder) for holder in holders_with_folders(self.root))
        return set[str]().union(*(folder.noted() for folder in folders))

    def entered(self, paths: Iterable[str]) -> None:
        """Hear that kept files have rows: nobody has to look for them any more."""
        if self._receiver is not None:
            self._receiver.forget(paths)

    def require_one_file_system(self) -> None:
        """Check that a file gets its final path by a rename: what else would not be whole or not.

        Raises
        ------
        StorageUnwritable
            If a folder within the storage folder is a mount, or a link to another file system.
        """
        for name in (QUARANTINE, RESULTS, INCOMING):
            with self._temporary() as temporary:
                temporary.touch(mode=0o600)
                target = self.root / name / f".{temporary.name}"
                try:
                    temporary.rename(target)
                    target.unlink()
                except OSError as fault:
                    raise StorageUnwritable(
                        f"{self.root / name} cannot take files of {self._temporary_folder}"
                        f" ({fault.strerror}): expected both on one file system, none of them a"
                        " mount or a link; mount, or link, the storage folder as a whole"
                    ) from fault

    def keep(
        self, chunks: Iterable[bytes | memoryview], *, name_from: str, header: bytes = b""
    ) -> KeptFile:
        """Keep one instance; on return it survives a power cut.

        The same bytes under the same name are kept once, with the latest header.

        Parameters
        ----------
        header
            Written first, but left out of the digest: the Part 10 header of a received data set
            names its last sender, and the same instance may come from several.
        name_from
            Identifier of the instance, such as its UID: hashed, never used as a file name.

        Raises
        ------
        StorageFull
            If the reserve would be used, or the disk is full. No file is left behind.
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
            self.note(kept.path)
            try:
                self._put_in_place(temporary, self.root / kept.path)
            except OSError:
                self._forget_absent(kept.path)
                raise
        return kept

    def _forget_absent(self, path: str) -> None:
        """Forget a file that did not get its name: commitment would wait for its row."""
        if self._receiver is not None and not (self.root / path).exists():
            self._receiver.forget([path])

    def keep_result(self, name: str, files: Mapping[str, bytes], *, part: str = "") -> str:
        """Keep the files of one result as a folder, all or none; return its relative path.

        A folder of that name that exists stays as it is: a name is of one making of a result, so
        that its files are these, and a PACS may have them already.

        Parameters
        ----------
        part
            Folder within that of the result, which is kept already, for files that come later.

        Raises
        ------
        StorageFull
            As :meth:`keep`.
        StorageUnwritable
            If the folder is away, or cannot be written.
        ValueError
            If a name could lead out of the folder.
        """
        for file_name in (name, *((part,) if part else ()), *files):
            if not PLAIN.fullmatch(file_name):
                raise ValueError(f"expected letters, digits, '.', '_' and '-', got {file_name!r}")
        path = f"{RESULTS}/{name}/{part}".rstrip("/")
        target = self.root / path
        try:
            self._keep_files(target, files)
        except OSError as fault:
            why = fault.strerror or type(fault).__name__
            raise StorageUnwritable(f"{target.parent} cannot be written: {why}") from fault
        return path

    def _keep_files(self, target: Path, files: Mapping[str, bytes]) -> None:
        reserve = int(self.reserve_bytes * RESULTS_STOP)
        self._require(sum(map(len, files.values())), reserve)
        with self._temporary() as temporary:
            temporary.mkdir()
            for file_name, content in files.items():
                with (temporary / file_name).open("xb", buffering=0) as file:
                    self._write(file.write, [content], reserve)
                    self._step("written")
                    os.fsync(file.fileno())
            sync_directory(temporary)
            self._step("synced")
            self._put_in_place(temporary, target, once=True)

    def quarantine(self, path: str) -> str:
        """Move a kept file that is no readable instance to quarantine; return its new path."""
        source = self.root / path
        target = self.root / QUARANTINE / source.name
        source.rename(target)
        sync_directory(target.parent)
        sync_directory(source.parent)
        self.entered([path])
        return f"{QUARANTINE}/{source.name}"

    def quarantined(self) -> int:
        """Count the files in quarantine."""
        return sum(1 for _ in os.scandir(self.root / QUARANTINE))

    def release(self, path: str) -> str:
        """Move a file from quarantine back to the incoming instances, where a scan finds it."""
        source = self.root / path
        spread = self.root / INCOMING / source.name[:2]
        target = (spread if spread.is_dir() else spread.with_name("00")) / source.name
        source.rename(target)
        sync_directory(target.parent)
        sync_directory(source.parent)
        return target.relative_to(self.root).as_posix()

    def written_at(self, path: str) -> datetime | None:
        """Give the time a kept file was last written; None if it does not exist."""
        try:
            return datetime.fromtimestamp((self.root / path).stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def last_written_at(self, paths: Iterable[str]) -> datetime | None:
        """Give the time the latest of some kept files was last written; None if none exists."""
        times = map(self.written_at, paths)
        return max((at for at in times if at is not None), default=None)

    def discard(self, paths: Iterable[str], *, before: datetime) -> dict[str, str]:
        """Remove kept files and folders of results that were written `before` a time.

        Files written again since then under the same name stay. A folder is removed as a whole.

        Returns
        -------
        dict
            Paths that could not be removed to the reason why; the others are not held up by them.
        """
        parents, faults = set[Path](), dict[str, str]()
        for path in paths:
            try:
                self._discard_one(path, before)
            except OSError as fault:
                faults[path] = fault.strerror or type(fault).__name__
                continue
            self._step("discarded")
            parents.add((self.root / path).parent)
        for parent in sorted(parents):
            with suppress(FileNotFoundError):
                sync_directory(parent)
        return faults

    def _discard_one(self, path: str, before: datetime) -> None:
        with self._temporary() as removed, self._naming:
            written = self.written_at(path)
            if written is None or written >= before:
                return
            if self._receiver is None:
                (self.root / path).rename(removed)
                return
            taken = self._receiver.take_away(path)
            is_old = False
            try:  # another receiver may have written it again between our look and the removal
                is_old = datetime.fromtimestamp(taken.stat().st_mtime, UTC) < before
            finally:
                if not is_old:
                    self._receiver.put_back(taken)
        remove(taken)

    def paths(self, pattern: str) -> set[str]:
        """List the paths that match a pattern such as ``results/*``, relative to the folder."""
        return {path.relative_to(self.root).as_posix() for path in self.root.glob(pattern)}

    def paths_in(self, place: str, ending: str = "") -> set[str]:
        """List what is in one folder, by paths relative to the storage folder; none if it is away.

        Raises
        ------
        OSError
            If the folder cannot be read.
        """
        try:
            names = os.listdir(self.root / place)  # noqa: PTH208  # a tenth of pathlib's time
        except (FileNotFoundError, NotADirectoryError):
            return set()
        return {f"{place}/{name}" for name in names if name.endswith(ending)}

    def absent(self, paths: Iterable[str]) -> set[str]:
        """Tell which of some kept files are not there."""
        return {path for path in paths if not (self.root / path).is_file()}

    def absent_in(self, place: str, paths: Iterable[str]) -> set[str]:
        """Tell which files of a kept result are not there, by the lists of its folders.

        Raises
        ------
        OSError
            If a folder cannot be read.
        """
        return set(paths) - self.paths_in(place) - self.paths_in(f"{place}/{LATER}")

    def locate(self, path: str) -> Path:
        """Give the absolute path of a kept file; its relative path comes from the database."""
        return self.root / path

    def remove_temporary(self) -> None:
        """Remove what a crash left half written; for the start only, before anything is kept."""
        for path in (self.root / TEMPORARY).iterdir():
            remove(path)
        if self._receiver is None:  # else the others were ended before this
            for holder in holders_with_folders(self.root):
                ReceiverFolder(self.root, holder).end_writing()

    def kept_file(self, path: str) -> KeptFile:
        """Describe a kept instance by its file."""
        digest = Path(path).stem.partition("-")[2]
        return KeptFile(path=path, digest=digest, bytes=self.locate(path).stat().st_size)

    def free_bytes(self) -> int:
        """Measure the free space above the reserve, bytes; negative when the reserve is in use."""
        return self._free(self.root) - self.reserve_bytes

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """Give an unused path, removed in the end; a full disk raises `StorageFull`."""
        path = self._temporary_folder / uuid.uuid4().hex
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
        """Write all chunks, leaving a reserve free; return their digest."""
        digest, granted = hashlib.sha256(), 0
        for chunk in chunks:
            rest = memoryview(chunk).cast("B")
            if granted < len(rest):
                granted = min(self._require(len(rest), reserve), max(len(rest), CHECK_BYTES))
            granted -= len(rest)
            digest.update(rest)
            while rest:
                rest = rest[write(rest) :]
        return digest.hexdigest()

    def _require(self, size: int, reserve: int) -> int:
        """Measure the free space above a reserve, bytes; it must hold `size` bytes."""
        free = self._free(self.root) - reserve
        if free < size:
            raise StorageFull(f"expected {size} bytes free above the reserve, got {free}")
        return free

    def _put_in_place(self, temporary: Path, target: Path, *, once: bool = False) -> None:
        """Give a synchronised file its final name, and flush the name to the disk.

        What is there already stays if it is to be put there once; whoever put it there may have
        been killed before its name was on the disk.
        """
        with self._naming:
            if not (once and target.exists()):
                temporary.rename(target)
        self._step("renamed")
        sync_directory(target.parent)
        self._step("directory-synced")


def _cannot_be_made(root: Path, fault: OSError) -> str:
    """Say why the folders within the storage folder cannot be made."""
    place = Path(str(fault.filename)) if fault.filename else root
    if place.is_symlink() and not place.exists():
        return f"{place} is a link to something that is away: is it mounted?"
    return f"{place} cannot be made, or is no folder: {fault.strerror}"


def _path(name_from: str, digest: str) -> str:
    """Build the path of an instance from two hashes: of its name, and of its bytes."""
    name = hashlib.sha256(name_from.encode()).hexdigest()
    return f"{INCOMING}/{name[:2]}/{name[:32]}-{digest}{INSTANCE_ENDING}"
