"""Restore a backup into an empty storage folder and an empty database."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from config.settings import Settings
from dicom_node.errors import NodeError
from dicom_node.folder_lock import LOCK, RESTORING, RUNNING, only_node
from storage.backup.copied_files import copy_file, digest_of
from storage.backup.database_copy import check_copy, load_database, require_empty
from storage.backup.manifest import FOLDER, Manifest, read_manifest
from storage.database.engine import files_of_database, refuse_newer
from storage.errors import StorageError, StorageFull
from storage.files.disk import FULL, disk_free, give_to_owner_of_folder, sync_directory

NOT_OF_A_NODE = frozenset({"lost+found", LOCK, RUNNING})  #: in a folder that is empty

RESTORED = (
    "restored from the backup of {made_at}: what the folder has and the database does not know is"
    " taken up again; results made since then are not known any more and stay in the PACS beside"
    " the new ones, which have UIDs of their own"
)


def restore_backup(
    backup: Path, settings: Settings, *, step: Callable[[], None] = lambda: None
) -> Manifest:
    """Restore a backup; nothing of it is there until all of it was copied and compared.

    No node starts with the storage folder meanwhile.

    Raises
    ------
    NodeError
        If the storage folder holds something, or is used by a node.
    StorageFull
        If it has no room, or its disk is full meanwhile.
    StorageError
        If the backup is not whole, is of a newer version, or the database is not empty.
    """
    manifest, digests = read_manifest(backup)
    refuse_newer(manifest.revision)
    with only_node(settings.storage.folder):
        _fill(backup, settings, manifest, digests, step)
    return manifest


def _fill(
    backup: Path,
    settings: Settings,
    manifest: Manifest,
    digests: Mapping[str, str],
    step: Callable[[], None],
) -> None:
    folder = settings.storage.folder
    _require_room(folder, manifest)
    require_empty(settings.database_url)
    copy = backup / manifest.database
    if not copy.is_file() or digest_of(copy) != digests.get(manifest.database):
        raise StorageError(f"{copy}: its bytes are not those of its digest")
    check_copy(copy)
    work = folder / RESTORING
    try:
        own = files_of_database(settings.database_url)  # earlier programs copied some of them
        wanted = {
            path: digest
            for path, digest in digests.items()
            if path.startswith(f"{FOLDER}/") and folder.resolve() / _within(path) not in own
        }
        _copy_files(backup, work, wanted, step)
        load_database(copy, settings.database_url, RESTORED.format(made_at=manifest.made_at))
    except OSError as fault:
        shutil.rmtree(work, ignore_errors=True)
        place = fault.filename or backup
        kind = StorageFull if fault.errno in FULL else NodeError
        raise kind(f"{place}: {fault.strerror}: the backup is not restored") from None
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    for entry in sorted(work.iterdir()):
        entry.rename(folder / entry.name)
    shutil.rmtree(work)
    sync_directory(folder)


def _copy_files(
    backup: Path, work: Path, digests: Mapping[str, str], step: Callable[[], None]
) -> None:
    for path, digest in digests.items():
        copy_file(backup / path, work / _within(path), digest)
        step()
    for entry in (work, *sorted(work.rglob("*"))):  # a folder before what is in it
        give_to_owner_of_folder(entry)
        if entry.is_dir():
            sync_directory(entry)


def _within(path: str) -> str:
    """Give the path within the storage folder of a path in the backup."""
    return path.removeprefix(f"{FOLDER}/")


def _require_room(folder: Path, manifest: Manifest) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = sorted({entry.name for entry in folder.iterdir()} - NOT_OF_A_NODE)
    except OSError as fault:
        raise NodeError(f"{folder}: expected a folder to restore to: {fault.strerror}") from None
    if found:
        raise NodeError(
            f"{folder}: expected an empty folder, found {', '.join(found[:3])}: a restore never"
            " writes over anything; move it away first"
        )
    if manifest.bytes > (free := disk_free(folder)):
        raise StorageFull(f"{folder}: expected room for {manifest.bytes:,} bytes, got {free:,}")
