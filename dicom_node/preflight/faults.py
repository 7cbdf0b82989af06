"""Faults: what the start of the node refuses.

A test holds them to the start (`tests/unit/dicom_node/test_preflight_start.py`). One of them goes
further on purpose: a database with a damaged page is a fault wherever that page is.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from config.settings import Settings
from dicom_node.analysis.configuration import model_folder
from dicom_node.errors import NodeError
from dicom_node.folder_lock import refuse_restored_in_part
from pipeline.errors import ModelError
from pipeline.model.manifest import read_manifest
from storage.database.engine import (
    is_absent,
    is_migrated,
    open_database,
    opened,
    require_migrated,
    revision_of,
)
from storage.database.revisions import examine
from storage.database.sessions import Sessions
from storage.errors import ObjectsAway, StorageError, StorageUnwritable
from storage.files.folder import TEMPORARY, StorageFolder
from storage.files.installation import installation_of
from storage.files.object_folder import ObjectFolder
from storage.files.objects_address import object_store_at


def faults(settings: Settings) -> list[str]:
    """List everything that the start of the node refuses, by section and key."""
    checks = (
        _address,
        _tls,
        _stow,
        _reports,
        _folder,
        _objects,
        _log,
        _database,
        _bucket,
        _engine,
        _model,
    )
    return [fault for check in checks for fault in check(settings)]


def _address(settings: Settings) -> Iterator[str]:
    """Bind to the address, on a free port: the port of the settings may be the running node's."""
    yield from bound("node", settings.node.bind)


def bound(section: str, bind: str) -> Iterator[str]:
    """Bind to an address, on a free port."""
    try:
        socket.create_server(
            (bind, 0), family=socket.AF_INET6 if ":" in bind else socket.AF_INET
        ).close()
    except OSError as fault:
        yield (
            f"[{section}] bind: expected an address of this machine, got {bind} ({fault.strerror})"
        )


def _tls(settings: Settings) -> Iterator[str]:
    """Load the certificates that the start loads; those of other connections are looked for."""
    from dicom_node.assembly.delivery import sender_of
    from dicom_node.assembly.resources import audit_tls_of
    from dicom_node.assembly.security import report_tls_of, server_tls_of
    from dicom_node.assembly.worklist import manager_of

    steps: list[Callable[[], object]] = [
        partial(make, settings) for make in (server_tls_of, report_tls_of, audit_tls_of, manager_of)
    ]
    steps += [partial(sender_of, settings, one) for one in settings.destinations if one.enabled]
    yield from dict.fromkeys(sentence for step in steps for sentence in _refused(step))


def _refused(step: Callable[[], object]) -> Iterator[str]:
    try:
        step()
    except NodeError as fault:
        yield str(fault)


def _stow(settings: Settings) -> Iterator[str]:
    """Bind to the address of the STOW-RS receiver, and read the token that its senders need."""
    from dicom_node.assembly.reception import stow_receivers_of

    if settings.dicomweb.port:
        yield from bound("dicomweb", settings.dicomweb.bind)
    yield from _refused(partial(stow_receivers_of, settings))


def _reports(settings: Settings) -> Iterator[str]:
    """Bind to the address of the receiver of reports."""
    if settings.reports.port:
        yield from bound("reports", settings.reports.bind)


def _folder(settings: Settings) -> Iterator[str]:
    """Write a file in the storage folder, or in the nearest folder above that exists."""
    folder = settings.storage.folder
    try:
        tempfile.TemporaryFile(dir=nearest(folder)).close()
    except OSError as fault:
        yield (
            f"[storage] folder: expected a folder we may write to, got {folder} ({fault.strerror})"
        )
        return
    yield from _refused(partial(refuse_restored_in_part, folder))
    if (folder / TEMPORARY).is_dir():  # a node has run
        try:
            StorageFolder(folder, 0).require_one_file_system()
        except StorageUnwritable as unwritable:
            yield f"[storage] folder: {unwritable}"


def _objects(settings: Settings) -> Iterator[str]:
    """Put, read, list and remove an object of the bucket, if files are in one."""
    from dicom_node.assembly.resources import objects_of

    try:
        address = objects_of(settings)
        if address is not None:
            object_store_at(address).try_out()
    except ObjectsAway as away:
        yield f"[storage] objects: {str(away).removeprefix('[storage] objects: ')}"


def _log(settings: Settings) -> Iterator[str]:
    """See whether the log can be written; nothing is made, lest it belong to another user."""
    file = settings.log.file
    if file is None:
        return
    place = file if file.exists() else file.parent
    if file.is_dir() or not os.access(place, os.W_OK):
        yield f"[log] file: expected a file that can be written, got {file}"


def _database(settings: Settings) -> Iterator[str]:
    """Open the database, if it is not one that the first start makes in the storage folder.

    If it knows files, the storage folder must be the one that holds them, and the identity key.
    """
    from dicom_node.assembly.resources import check_installation, check_receiver
    from dicom_node.identity_key import identity_key_fault

    configured = settings.storage.database_url or settings.storage.database_url_file
    try:
        check_receiver(settings)
        database = open_database(settings.database_url)
        if configured or not is_absent(database):
            examine(database)
            is_new = bool(settings.storage.objects) and not installation_of(settings.storage.folder)
            if is_migrated(database) and not is_new:
                sessions = Sessions(database)
                check_installation(settings.storage.folder, sessions, "dicom-node run --new-folder")
                if fault := identity_key_fault(sessions, settings.storage.folder):
                    yield f"[storage] folder: {fault}"
            elif not _start_migrates(settings) and revision_of(database) is not None:
                require_migrated(database)  # the start does the same
    except StorageError as fault:
        yield f"[storage] database_url: {fault}"
    except NodeError as fault:
        yield str(fault)
    except OSError as fault:
        yield f"[storage] folder: cannot be read, at {fault.filename} ({fault.strerror})"


def _bucket(settings: Settings) -> Iterator[str]:
    """Look whether the bucket has the files that the database knows, if they are in one."""
    from dicom_node.assembly.resources import check_bucket, folder_of

    try:
        folder = folder_of(settings, make=False)
        if isinstance(folder, ObjectFolder):
            with opened(settings.database_url) as database:
                if is_migrated(database):
                    check_bucket(folder, Sessions(database))
    except StorageError:
        return  # database or bucket are away: that is said
    except NodeError as fault:
        yield str(fault)


def _start_migrates(settings: Settings) -> bool:
    """Say whether the start brings older tables up to date."""
    return settings.storage.migrate_at_start and not settings.storage.objects


def _engine(settings: Settings) -> Iterator[str]:
    """Look for the files for TLS with a scheduler: all of them, or none."""
    from dicom_node.assembly.engine import engine_address_of

    yield from _refused(partial(engine_address_of, settings))


def _model(settings: Settings) -> Iterator[str]:
    """Read the manifest of the model."""
    try:
        read_manifest(model_folder(settings))
    except ModelError as fault:
        yield f"[analysis] model: {fault}"


def nearest(folder: Path) -> Path:
    """Give a folder, or the nearest above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
