"""Open what all parts share: database, storage folder, audit."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.settings import Settings
from dicom_node.assembly.security import credentials_of
from dicom_node.audit.decisions import DecisionLog
from dicom_node.audit.syslog import NO_AUDIT, AuditSink, Server, SyslogAudit
from dicom_node.clock_watch import utc_now
from dicom_node.database_lease import owner
from dicom_node.errors import NodeError
from dicom_node.folder_lock import refuse_restored_in_part
from dicom_node.health import ConditionFile
from dicom_node.network.tls import client_context
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.engine import (
    migrate,
    migrate_new,
    open_database,
    require_migrated,
    revision_of,
)
from storage.database.lease import read_lease
from storage.database.sessions import Sessions
from storage.errors import DatabaseUnusable
from storage.files.disk import GIGABYTE
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation, installation_of
from storage.files.object_folder import ObjectFolder
from storage.files.objects_address import ObjectsAddress, object_store_at
from storage.series.instances import has_kept_instances


def open_resources(
    settings: Settings, *, any_folder: bool = False, is_alone: bool = True
) -> Resources:
    """Open the storage folder and the database, and bring its tables up to date.

    Tables that are there are left to `dicom-node upgrade` where the settings say so. The first
    time, the identity of the installation is drawn.

    Parameters
    ----------
    any_folder
        Whether a folder without an identity is taken though the database knows files.
    is_alone
        Whether no other receiver works on the database: beside one its tables stay as they are.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        If the database cannot be opened, is of something else, of a newer version, or of an older
        one that is not to be changed.
    NodeError
        If it knows files and the folder is a new one; if other receivers run that have other
        tables, or receivers are to share SQLite.
    """
    settings.storage.folder.mkdir(parents=True, exist_ok=True)
    check_receiver(settings)
    database = open_database(settings.database_url, is_shared=bool(settings.node.receiver))
    is_new = revision_of(database) is None  # of something else it is nobody's to upgrade
    if settings.storage.objects:
        with _left_to_an_operator():
            migrate_new(database)
    elif not is_alone:
        with _among_others():
            require_migrated(database)
    elif settings.storage.migrate_at_start or is_new:
        migrate(database)
    else:
        require_migrated(database)
    sessions = Sessions(database, substitutes=SUBSTITUTES)
    folder = folder_of(settings, int(settings.storage.reserve_gb * GIGABYTE))
    if isinstance(folder, ObjectFolder):
        _join_bucket(folder, sessions)
    elif not any_folder:
        _check_folder(settings.storage.folder, sessions, "dicom-node run --new-folder")
    folder.require_one_file_system()
    draw_installation(folder.root)
    return Resources(
        sessions=sessions,
        folder=folder,
        audit=audit_of(settings),
        decisions=DecisionLog(folder.root, utc_now),
    )


def folder_of(settings: Settings, reserve_bytes: int = 0, *, make: bool = True) -> StorageFolder:
    """Make the storage folder that the settings describe: with copies, if files are in a bucket.

    Raises
    ------
    SettingsError
        If the file with the access key of the bucket cannot be used.
    ObjectsAway
        If the library for buckets is not installed.
    """
    root = settings.storage.folder
    address = objects_of(settings)
    if address is None:
        return StorageFolder(root, reserve_bytes, make=make)
    return ObjectFolder(root, reserve_bytes, object_store_at(address), make=make)


def objects_of(settings: Settings) -> ObjectsAddress | None:
    """Say where the bucket of instances and results is; None if they are in the folder.

    Raises
    ------
    SettingsError
        If the file with its access key cannot be used.
    """
    storage = settings.storage
    if not storage.objects:
        return None
    key_id, key = settings.objects_key
    return ObjectsAddress(
        url=storage.objects,
        endpoint=storage.objects_endpoint,
        region=storage.objects_region,
        key_id=key_id,
        key=key,
    )


@contextmanager
def _left_to_an_operator() -> Iterator[None]:
    """Say of tables of another version that no start changes them: others may run elsewhere.

    Raises
    ------
    NodeError
        If they are.
    """
    try:
        yield
    except DatabaseUnusable as fault:
        raise NodeError(
            f"{fault}; receivers with a bucket ([storage] objects) change no tables when they"
            " start: stop all of them, then use dicom-node upgrade"
        ) from fault


def _join_bucket(folder: ObjectFolder, sessions: Sessions) -> None:
    """Take part in the installation of a bucket, or make it that of a new one.

    Raises
    ------
    NodeError
        As `check_bucket`.
    StorageError
        As `ObjectFolder.join_installation`.
    """
    check_bucket(folder, sessions)
    folder.join_installation()


def check_bucket(folder: ObjectFolder, sessions: Sessions) -> None:
    """Check that a bucket without an installation belongs to an empty database.

    Raises
    ------
    NodeError
        If the database knows files.
    ObjectsAway
        If the bucket cannot be reached.
    """
    with sessions.reading() as session:
        knows_files = has_kept_instances(session)
    if knows_files and not folder.has_installation():
        raise NodeError(
            "[storage] objects: expected the bucket of this database, which knows files, got"
            f" {folder.store.url}, in which there is no installation"
        )


def check_receiver(settings: Settings) -> None:
    """Check that receivers share a database which several processes can use at a time.

    Also that a bucket is used by such receivers, and with settings that mean something there.

    Raises
    ------
    NodeError
        If they do not.
    """
    if settings.node.receiver and not settings.database_url.startswith("postgresql"):
        raise NodeError(
            "[node] receiver: expected a database of PostgreSQL ([storage] database_url) for"
            " receivers that share it, got SQLite: leave the name out for a node of its own"
        )
    if settings.storage.objects and not settings.node.receiver:
        raise NodeError(
            "[storage] objects: expected one of several receivers ([node] receiver), got a node of"
            " its own: its files are in its folder"
        )
    if settings.storage.objects and settings.retention.disk_pressure_gb:
        raise NodeError(
            "[retention] disk_pressure_gb: expected 0 where files are in a bucket ([storage]"
            f" objects), got {settings.retention.disk_pressure_gb:g}: nobody knows how much it"
            " still takes"
        )


@contextmanager
def _among_others() -> Iterator[None]:
    """Say of tables that are not those of this program that other receivers work on them.

    Raises
    ------
    NodeError
        If they are not.
    """
    try:
        yield
    except DatabaseUnusable as fault:
        raise NodeError(
            f"other receivers run with tables of another version: {fault}; receivers of different"
            " versions may run together only where both have the same tables: stop the others"
            " first"
        ) from fault


def audit_of(settings: Settings) -> AuditSink:
    """Make the sink of audit messages.

    Raises
    ------
    NodeError
        If that is to be by TLS, and there are no files for it.
    """
    host, _, port = settings.audit.syslog.rpartition(":")
    if not host:
        return NO_AUDIT
    server = Server(
        host=host, port=int(port), protocol=settings.audit.protocol, tls=audit_tls_of(settings)
    )
    return SyslogAudit(server, source=settings.node.ae_title)


def audit_tls_of(settings: Settings) -> ssl.SSLContext | None:
    """Make the TLS context of the audit trail; None if it is to be plain, or there is none.

    Raises
    ------
    NodeError
        As `audit_of`.
    """
    if not (settings.audit.syslog and settings.audit.protocol == "tls"):
        return None
    return client_context(credentials_of(settings.tls))


def condition_file_of(settings: Settings, resources: Resources) -> ConditionFile:
    """Make the file in which the condition of the node can be read."""
    return ConditionFile(
        resources.folder.root,
        resources.health,
        resources.clock,
        receiver=settings.node.receiver,
    )


def existing_resources(settings: Settings, *, any_folder: bool = False) -> Resources:
    """Open what a node has made, whether it runs or not.

    Parameters
    ----------
    any_folder
        As `open_resources` takes it.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        If there is no database, one of another version, or it is away.
    NodeError
        If it knows files and the folder is a new one.
    """
    database = open_database(settings.database_url)
    require_migrated(database)
    sessions = Sessions(database, substitutes=SUBSTITUTES)
    if not any_folder:
        check_installation(settings.storage.folder, sessions, "dicom-node doctor --mend --force")
    return Resources(sessions=sessions, folder=folder_of(settings, make=any_folder))


def _check_folder(folder: Path, sessions: Sessions, nevertheless: str) -> None:
    """Check that a folder without the identity of an installation belongs to an empty database.

    Raises
    ------
    NodeError
        If the database knows files: the folder is not mounted, or is not the one of this database.
    """
    if not installation_of(folder):
        _refuse(folder, sessions, nevertheless, "in which no node has run: is it mounted?")


def check_installation(folder: Path, sessions: Sessions, nevertheless: str) -> None:
    """Check a folder by whose the database is; a start, and what mends, do so by the lease.

    Raises
    ------
    NodeError
        As `_check_folder`; or if the folder is of another installation, or restored in part.
    """
    refuse_restored_in_part(folder)
    _check_folder(folder, sessions, nevertheless)
    with sessions.reading() as session:
        lease = read_lease(session)
    if lease is not None and lease.held_by.installation != installation_of(folder):
        _refuse(folder, sessions, nevertheless, "which is of another installation.")


def _refuse(folder: Path, sessions: Sessions, nevertheless: str, why: str) -> None:
    """Refuse a folder, unless the database knows no files that could be missing."""
    with sessions.reading() as session:
        lease = read_lease(session)
        knows_files = has_kept_instances(session)
    if knows_files:
        known = f", {owner(lease)}" if lease else ""
        raise NodeError(
            f"[storage] folder: expected the one of this database, which knows files{known},"
            f" got {folder}, {why} `{nevertheless}` goes on without those files"
        )
