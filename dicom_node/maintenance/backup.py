"""Make a backup of an installation while it runs, and check one.

The database is copied first: what it knows is in the folder by then, because files are kept before
their rows are written, and nothing is removed from the folder meanwhile. What comes later is in
the folder alone, and is taken up by the first start after a restore.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from config.settings import Settings
from dicom_node.database_lease import AGE
from dicom_node.errors import NodeError
from dicom_node.folder_lock import LOCK, RUNNING, STARTING, UNSEEN, is_running
from dicom_node.health import FILE as CONDITION
from dicom_node.health import OF_RECEIVER
from dicom_node.reception.draining import DRAINING
from storage.backup.copied_files import copy_file, digest_of, own_folder, size_of
from storage.backup.database_copy import check_copy, copy_database, size_of_copy
from storage.backup.digest_list import write_sums
from storage.backup.manifest import (
    DESCRIPTION,
    FOLDER,
    FORMAT,
    SETTINGS,
    Manifest,
    read_manifest,
    write_manifest,
)
from storage.backup.room import require_room, sizes_of
from storage.database.engine import files_of_database, is_absent, opened, revision_of
from storage.database.lease import lease_mark
from storage.errors import DatabaseUnusable, StorageError, StorageFull
from storage.files.disk import FULL, naming, sync_directory
from storage.files.folder import INCOMING, QUARANTINE, RESULTS, TEMPORARY
from storage.files.installation import installation_of
from storage.files.receiver_folder import RECEIVERS
from storage.files.removal_lock import REMOVAL_LOCK, nothing_removed
from storage.files.sums import SUMS

#: Of a running process, or known to the database: not part of a backup.
LEFT_OUT = frozenset(
    {
        *(TEMPORARY, LOCK, RUNNING, REMOVAL_LOCK, CONDITION, DRAINING, AGE),
        *(RECEIVERS, STARTING, UNSEEN),
    }
)
#: The same of receivers that share the storage folder: a name follows.
LEFT_OUT_OF_RECEIVERS = (f"{LOCK}-", f"{RUNNING}-", f"{DRAINING}-", OF_RECEIVER)
#: The node's own folders; where there is a bucket, of copies of what is in it, which are left out.
COPIES = frozenset({INCOMING, RESULTS, QUARANTINE})
PART = ".part"  #: ending of what is being written, see `pipeline.atomic_write`
NAME = "dicom-node-"  #: beginning of a backup's name; the time follows
UNFINISHED = ".unfinished"  #: ending of a backup's name until it is whole

Step = Callable[[], None]


@dataclass(slots=True)
class Checked:
    """Outcome of the check of a backup.

    Attributes
    ----------
    faults
        A sentence each; none if the backup is whole.
    """

    manifest: Manifest
    files: int = 0
    faults: list[str] = field(default_factory=list)


def make_backup(
    settings: Settings, ini: Path, to: Path, now: datetime, *, step: Step = lambda: None
) -> Path:
    """Copy database, storage folder and INI file into a new folder; a node may run meanwhile.

    Parameters
    ----------
    to
        Folder of backups, made if need be; the new one gets a name from the time.
    step
        Called after each file.

    Raises
    ------
    NodeError
        If `to` is in the storage folder.
    StorageFull
        If there is no room for it; nothing is left of it then.
    OSError
        If it cannot be written, or a file not be read; likewise.
    DatabaseUnavailable, DatabaseUnusable
        If the database cannot be copied, or there is nothing to copy yet; likewise.
    """
    folder = settings.storage.folder
    with opened(settings.database_url) as database:
        if not folder.is_dir() or is_absent(database) or revision_of(database) is None:
            raise DatabaseUnusable(
                "there is no storage folder or no database yet: the node has not been started, or"
                f" the disk of {folder} is not mounted"
            )
    if to.resolve().is_relative_to(folder.resolve()):
        raise NodeError(f"expected a place outside the storage folder, got {to}")
    backup = to / f"{NAME}{now:%Y%m%dT%H%M%SZ}"
    unfinished = to / f"{backup.name}{UNFINISHED}"
    if backup.exists():
        raise NodeError(f"{backup}: is there already")
    with _new_folder(unfinished):
        _fill(unfinished, settings, ini, now, step)
        unfinished.rename(backup)
        sync_directory(to)
    return backup


@contextmanager
def _new_folder(unfinished: Path) -> Iterator[None]:
    """Make a folder that the block fills and renames; if it breaks off, nothing is left of it."""
    to = unfinished.parent
    is_new = not to.exists()
    with naming(to, unfinished):
        own_folder(to)
        _remove_abandoned(to)
        unfinished.mkdir(mode=0o700)
    try:
        with naming(to), _held(unfinished):
            yield
    except OSError as fault:
        if fault.errno not in FULL:
            raise
        raise StorageFull(f"{to}: its disk is full: the backup was taken away again") from fault
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        if is_new:
            with suppress(OSError):  # it holds the backup
                to.rmdir()


def _remove_abandoned(to: Path) -> None:
    """Remove what backups that were killed have left: nobody holds it."""
    for left in to.glob(f"{NAME}*{UNFINISHED}"):
        with suppress(OSError), _held(left):
            shutil.rmtree(left)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder of a backup that is being made; raises `BlockingIOError` if somebody does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def verify_backup(backup: Path, *, step: Step = lambda: None) -> Checked:
    """Read a whole backup and compare it with its digests.

    Raises
    ------
    StorageError
        If the folder is no backup that this program knows.
    """
    manifest, digests = read_manifest(backup)
    checked = Checked(manifest)
    for path, digest in digests.items():
        try:
            if digest_of(backup / path) != digest:
                checked.faults.append(f"{_shown(path)}: its bytes were changed")
        except FileNotFoundError:
            checked.faults.append(f"{_shown(path)}: is gone")
        except OSError as fault:
            checked.faults.append(f"{_shown(path)}: cannot be read ({fault.strerror})")
        checked.files += 1
        step()
    if not checked.faults and manifest.bytes != (found := size_of(backup, digests)):
        checked.faults.append(f"{DESCRIPTION}: says {manifest.bytes:,} bytes, there are {found:,}")
    if not checked.faults:
        try:
            check_copy(backup / manifest.database)
        except StorageError as fault:
            checked.faults.append(f"{manifest.database}: {fault}")
    return checked


def _shown(path: str) -> str:
    """Write a path whose bytes may be no text."""
    return path.encode(errors="backslashreplace").decode()


def _fill(backup: Path, settings: Settings, ini: Path, now: datetime, step: Step) -> None:
    folder = settings.storage.folder
    digests: dict[str, str] = {}
    mark = _mark_at_rest(settings)
    with nothing_removed(folder):
        of_database = size_of_copy(settings.database_url)
        require_room(backup, {**sizes_of(_sources(settings, ini)), **of_database})
        database, revision = copy_database(settings.database_url, backup)
        digests[database] = digest_of(backup / database)
        sources = _sources(settings, ini)  # what the copy knows, and what came meanwhile
        require_room(backup, sizes_of(sources))
        for path, source in sources.items():
            digests[path] = copy_file(source, backup / path)
            step()
    write_sums(backup, digests)
    manifest = Manifest(
        format=FORMAT,
        made_at=now.isoformat(timespec="seconds"),
        program=version("dicom-node"),
        installation=installation_of(folder),
        database=database,
        revision=revision,
        files=len(digests),
        bytes=size_of(backup, digests),
        sums_sha256=digest_of(backup / SUMS),
        lease=mark if mark == _mark_at_rest(settings) else "",
    )
    for place in (backup, *(entry for entry in backup.rglob("*") if entry.is_dir())):
        sync_directory(place)
    write_manifest(backup, manifest)
    sync_directory(backup)


def _sources(settings: Settings, ini: Path) -> dict[str, Path]:
    """Name the files that are copied as they are, by their paths in the backup."""
    folder = settings.storage.folder
    in_bucket = COPIES if settings.storage.objects else frozenset[str]()
    found = files_of(folder, settings.database_url, in_bucket)
    sources = {f"{FOLDER}/{file.relative_to(folder).as_posix()}": file for file in found}
    return {**sources, f"{SETTINGS}/{ini.name}": ini}


def _mark_at_rest(settings: Settings) -> str:
    """Tell how far the lease has come; empty while a node works."""
    if is_running(settings.storage.folder):
        return ""
    with opened(settings.database_url) as database:
        return lease_mark(database)


def _is_left_out(name: str) -> bool:
    """Say whether a file of the storage folder is of a running process alone."""
    name = name.removeprefix(".")  # written beside what it will replace in a moment
    return name in LEFT_OUT or name.startswith(LEFT_OUT_OF_RECEIVERS)


def files_of(
    folder: Path, database_url: str, leave_out: frozenset[str] = frozenset()
) -> Iterator[Path]:
    """List the files of a storage folder that belong into a backup.

    Links are not followed, but for those in the place of the node's own folders: where somebody
    has moved one of them, the node follows them, too.
    """
    own = files_of_database(database_url)
    moved = [folder / name for name in sorted(COPIES) if (folder / name).is_symlink()]
    walks = [os.walk(top) for top in (folder, *moved) if top.name not in leave_out]
    for place, folders, names in chain.from_iterable(walks):
        if Path(place) == folder:
            folders[:] = set(folders) - LEFT_OUT - leave_out
            names[:] = [name for name in names if not _is_left_out(name)]
        kept, real = Path(place), Path(place).resolve()
        yield from (
            kept / name
            for name in sorted(names)
            if not name.endswith(PART)
            and real / name not in own
            and (kept / name).is_file()
            and not (kept / name).is_symlink()
        )
