"""Give a node the key of its installation, and find out whether it was lost.

The lease of the database must be held where anything is changed: one process at a time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dicom_node.errors import NodeError
from dicom_node.logs import log
from dicom_node.resources import Resources
from storage.database.sessions import Sessions
from storage.errors import DamagedIdentityKey, StorageError
from storage.files.identity_key import (
    IDENTITY_KEY,
    IdentityKey,
    draw_identity_key,
    read_identity_key,
    set_identity_key_aside,
)
from storage.files.installation import STATION, installation_of
from storage.maintenance.identity_digests import (
    count_identity_digests,
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
PART = "identity key"  #: in the condition of the node
GONE = (
    "restore this file from a backup of the storage folder before the next start, which fails"
    " without it; until then nothing can be searched for at the console, and tokens are refused"
)
NOT_MOUNTED = (
    f"and no file `{STATION}` either: is the storage folder mounted? `dicom-node run --new-folder`"
    " makes the database that of this folder, and forgets who the patients so far were"
)


def identity_key_fault(sessions: Sessions, root: Path) -> str:
    """Say why the digests in the database are of no use; empty if they are, or there are none."""
    known = _needed(sessions)
    try:
        return _read(root, known)[1] if known else ""
    except StorageError as fault:
        return str(fault)


def _needed(sessions: Sessions) -> str:
    """Read the fingerprint of the key of the digests in the database; empty if there are none."""
    with sessions.reading() as session:
        known = key_fingerprint(session)
        return known if known and has_identity_digests(session) else ""


def _read(root: Path, known: str) -> tuple[IdentityKey | None, str]:
    """Read the key, if there is one, and say why it is not that of a fingerprint, if it must be.

    Raises
    ------
    StorageError
        If its file cannot be read; or holds something else, and no digests need it.
    """
    try:
        key = read_identity_key(root)
    except DamagedIdentityKey as fault:
        if not known:
            raise
        return None, str(fault)
    if not known or (key is not None and key.fingerprint == known):
        return key, ""
    got = "no such file" if key is None else "another key"
    return key, (
        f"{root / IDENTITY_KEY}: expected the key of the digests of identity in the database, got"
        f" {got}"
    )


def keyed(resources: Resources, *, forget: bool = False) -> Resources:
    """Give resources the key; draw it the first time, and key what earlier versions left plain.

    Parameters
    ----------
    forget
        Whether digests whose key is lost are emptied, and another is drawn if there is none; a
        file that holds something else is set aside.

    Raises
    ------
    NodeError
        If the key is lost, and `forget` is False or the folder is that of no installation.
    StorageError
        If its file cannot be read, which may pass: no key is drawn in its place.
    """
    root = resources.folder.root
    key, lost = _read(root, _needed(resources.sessions))
    if lost:
        _check_forgetting(root, lost, forget=forget)
        with resources.sessions.reading() as session:
            rows = count_identity_digests(session)
        log.warning("identity_forgotten", reason=lost, rows=rows)
    with resources.sessions.begin() as session:
        if lost:
            forget_identity_digests(session)
        if key is None:
            set_identity_key_aside(root, resources.clock())
            key = draw_identity_key(root)
        is_used = key_fingerprint(session) == key.fingerprint
        rows = 0 if is_used else key_identity_digests(session, key)
    if rows:
        log.info("identity_keyed", rows=rows)
    return replace(resources, identity_key=key)


def _check_forgetting(root: Path, lost: str, *, forget: bool) -> None:
    """Check that digests may be emptied, which cannot be taken back.

    Raises
    ------
    NodeError
        If nobody asks for it, or the folder is that of no installation.
    """
    if not forget:
        raise NodeError(f"{lost}: {LOST}")
    if not installation_of(root):
        raise NodeError(f"{lost}, {NOT_MOUNTED}")


def watch_identity_key(resources: Resources) -> None:
    """Report whether the file of the key that a running node works with is as it was."""
    root, known = resources.folder.root, resources.identity_key
    try:
        found = read_identity_key(root)
        got = "" if found == known else "no such file" if found is None else "another key"
        fault = f"{root / IDENTITY_KEY}: expected the key of this node, got {got}" if got else ""
    except StorageError as unreadable:
        fault = str(unreadable)
    if fault:
        resources.health.fault(PART, f"{fault}: {GONE}")
    else:
        resources.health.well(PART)


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
