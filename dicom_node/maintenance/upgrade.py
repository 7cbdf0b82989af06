"""Bring the tables of a stopped node to another revision; never without a backup of just before.

A backup is of just before if it is of this installation and of these tables, was made a few hours
ago at most, and no node has worked since: the lease has come no farther.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from config.settings import Settings
from dicom_node.errors import NodeError
from dicom_node.folder_lock import only_node
from dicom_node.maintenance.backup import verify_backup
from storage.backup.manifest import FORMAT, WITHOUT_LEASE, Manifest, read_manifest
from storage.database.engine import migrate, opened, refuse_newer, revision_of
from storage.database.lease import lease_mark
from storage.database.revisions import Step, downgrade, newest, steps
from storage.errors import DatabaseUnusable
from storage.files.installation import installation_of

Advance = Callable[[], None]
CLOCKS_DIFFER = timedelta(minutes=5)  #: of two hosts, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of the tables from one revision to another.

    Attributes
    ----------
    steps
        In the order in which they are taken; none if there is nothing to do.
    """

    current: str
    target: str
    steps: tuple[Step, ...]
    is_back: bool


def planned_upgrade(settings: Settings) -> Change:
    """Say what brings the tables up to this program.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        If there is no database, it is of a newer version, or it is away.
    """
    current, target = _revision(settings), newest()
    return Change(current=current, target=target, steps=steps(current, target), is_back=False)


def planned_downgrade(settings: Settings, target: str) -> Change:
    """Say what takes the tables back to an earlier revision.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        As `planned_upgrade`; or if the revision is not known, or none from before.
    """
    current = _revision(settings)
    back = steps(target, current)
    if not back and target != current:
        raise DatabaseUnusable(
            f"expected a revision from before that of the database, {current}, got {target}"
        )
    return Change(current=current, target=target, steps=back[::-1], is_back=True)


def require_backup(
    settings: Settings,
    backup: Path,
    now: datetime,
    *,
    hours: float,
    step: Advance = lambda: None,
) -> Manifest:
    """Check that a backup is whole and of just before; all of it is read.

    Raises
    ------
    NodeError
        If it is not; the message says what is wrong.
    StorageError
        If the folder is no backup.
    """
    manifest, _ = read_manifest(backup)
    if fault := _fault(settings, manifest, now, hours):
        raise NodeError(f"{backup}: {fault}: make one now (dicom-node backup create FOLDER)")
    if faults := verify_backup(backup, step=step).faults:
        raise NodeError(f"{backup}: faults: {len(faults)}, the first: {faults[0]}")
    return manifest


def change_tables(
    settings: Settings,
    change: Change,
    backup: Path,
    now: datetime,
    *,
    hours: float,
    step: Advance = lambda: None,
) -> Manifest:
    """Change the tables as planned, in one transaction; return what the backup is.

    Raises
    ------
    AlreadyRunning
        If a node runs.
    NodeError, StorageError
        As `require_backup`; or if the database has changed since the plan was made.
    """
    with only_node(settings.storage.folder):
        made = require_backup(settings, backup, now, hours=hours, step=step)
        if _revision(settings) != change.current:
            raise NodeError("another program has changed the tables meanwhile: look again")
        with opened(settings.database_url) as database:
            if change.is_back:
                downgrade(database, change.target)
            else:
                migrate(database)
    return made


def _fault_of_age(made: Manifest, now: datetime, hours: float) -> str:
    made_at = datetime.fromisoformat(made.made_at)
    if made_at - now > CLOCKS_DIFFER:
        return f"expected a backup of the past by the clock of this host, got one of {made.made_at}"
    if now - made_at > timedelta(hours=hours):
        return f"expected a backup of the last {hours:g} hours, got one of {made.made_at}"
    return ""


def _fault(settings: Settings, made: Manifest, now: datetime, hours: float) -> str:
    """Say why a backup is none of just before; empty if it is one."""
    if made.installation != installation_of(settings.storage.folder):
        return "expected a backup of this installation, got another's"
    if made.revision != (revision := _revision(settings)):
        return (
            f"expected a backup of the database as it is ({revision}), got one of {made.revision}"
        )
    if fault := _fault_of_age(made, now, hours):
        return fault
    if made.format == WITHOUT_LEASE:
        return (
            f"expected a backup of format {FORMAT}, got one of format {WITHOUT_LEASE}, by a program"
            " that did not note how far the node had come"
        )
    if not made.lease:
        return "expected a backup made while the node was stopped, got one beside a running node"
    with opened(settings.database_url) as database:
        mark = lease_mark(database)
    return "" if mark == made.lease else "expected a backup made after the node's last run"


def _revision(settings: Settings) -> str:
    with opened(settings.database_url) as database:
        revision = revision_of(database)
    refuse_newer(revision)
    if revision is None:
        raise DatabaseUnusable(
            "there is no database yet: the first start of the node makes one of this version"
        )
    return revision
