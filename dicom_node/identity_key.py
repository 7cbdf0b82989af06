"""Give a node the key of its installation, and find out whether it was lost.

The lease of the database must be held where anything is changed: one process at a time.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dicom_node.errors import NodeError
from dicom_node.logs import log
from dicom_node.resources import Resources
from storage.database.sessions import Sessions
from storage.errors import StorageError
from storage.files.identity_key import (
    IDENTITY_KEY,
    IdentityKey,
    draw_identity_key,
    read_identity_key,
)
from storage.maintenance.identity_digests import (
    forget_identity_digests,
    has_identity_digests,
    key_fingerprint,
    key_identity_digests,
)

LOST = (
    "restore this file from a backup of the storage folder; without it nothing that comes can be"
    " matched with what was received so far. `dicom-node doctor --mend --force` draws another key,"
    " and forgets who the patients so far were"
)


def identity_key_fault(sessions: Sessions, root: Path) -> str:
    """Say why the digests in the database are of no use; empty if they are, or there are none."""
    with sessions.reading() as session:
        known = key_fingerprint(session)
        if not known or not has_identity_digests(session):
            return ""
    try:
        key = read_identity_key(root)
    except StorageError as fault:
        return str(fault)
    if key is not None and key.fingerprint == known:
        return ""
    got = "no such file" if key is None else "another key"
    return (
        f"{root / IDENTITY_KEY}: expected the key of the digests of identity in the database, got"
        f" {got}"
    )


def keyed(resources: Resources, *, forget: bool = False) -> Resources:
    """Give resources the key; draw it the first time, and key what earlier versions left plain.

    Parameters
    ----------
    forget
        Whether digests whose key is lost are emptied, and another is drawn if there is none.

    Raises
    ------
    NodeError
        If the key is lost, and `forget` is False.
    StorageError
        If its file cannot be read.
    """
    root = resources.folder.root
    lost = identity_key_fault(resources.sessions, root)
    if lost and not forget:
        raise NodeError(f"{lost}: {LOST}")
    with resources.sessions.begin() as session:
        if lost:
            forget_identity_digests(session)
            log.warning("identity_forgotten", reason=lost)
        key = _key(root, lost)
        is_used = key_fingerprint(session) == key.fingerprint
        rows = 0 if is_used else key_identity_digests(session, key)
    if rows:
        log.info("identity_keyed", rows=rows)
    return replace(resources, identity_key=key)


def _key(root: Path, lost: str) -> IdentityKey:
    """Read the key, or draw one where there is none; one that cannot be read counts as none."""
    key = None
    if lost:
        with suppress(StorageError):
            key = read_identity_key(root)
    else:
        key = read_identity_key(root)
    return key or draw_identity_key(root)


def existing_key(root: Path) -> IdentityKey:
    """Read the key of a node, whether it runs or not.

    Raises
    ------
    NodeError
        If there is none, or it cannot be read.
    """
    try:
        key = read_identity_key(root)
    except StorageError as fault:
        raise NodeError(str(fault)) from fault
    if key is None:
        raise NodeError(
            f"{root / IDENTITY_KEY}: expected the identity key of the installation, got no such"
            " file: start the node, which draws it, or says what is wrong"
        )
    return key
