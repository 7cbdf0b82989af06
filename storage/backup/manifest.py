"""Manifest of a backup: what it is a copy of, with the digest of the list of its files.

A backup is a folder of its own::

    backup.json         what, when, by which program, and the digest of the list
    SHA256SUMS          digest and path of every other file
    database.sqlite     or database.pgdump
    folder/...          the storage folder without its database
    settings/...        the INI file
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from storage.backup.copied_files import for_us
from storage.backup.digest_list import read_sums_text
from storage.errors import StorageError
from storage.files.sums import SUMS

DESCRIPTION = "backup.json"  #: name of the file; written last, so a folder without it is none
FOLDER = "folder"  #: in a backup, the storage folder
SETTINGS = "settings"  #: in a backup, the INI file
FORMAT = 3  #: of the folder of a backup
WITHOUT_DIGEST = 2  #: the format before: the description had no digest of itself
WITHOUT_LEASE = 1  #: the one before that: it did not say how far the lease had come, either
DIGEST = "values_sha256"  #: key of the digest of the other values


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Description of a backup.

    Attributes
    ----------
    made_at
        When the database was copied, ISO 8601 with a zone.
    program
        Version of the program that made it.
    installation
        Identity of the installation.
    database
        Name of the file with the copy of the database.
    revision
        Of the tables in it.
    files, bytes
        Number and size of all files in the list.
    sums_sha256
        SHA-256 of the list itself.
    lease
        How far the lease of the database had come (`storage.database.lease.lease_mark`); empty if
        a node worked while the backup was made.
    """

    format: int
    made_at: str
    program: str
    installation: str
    database: str
    revision: str
    files: int
    bytes: int
    sums_sha256: str
    lease: str = ""


def write_manifest(backup: Path, manifest: Manifest) -> None:
    """Write the description; on return it is on the disk."""
    values = asdict(manifest)
    with open(backup / DESCRIPTION, "x", encoding="utf-8", opener=for_us) as file:
        json.dump({**values, DIGEST: _digest_of_values(values)}, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def read_manifest(backup: Path) -> tuple[Manifest, dict[str, str]]:
    """Read the description of a backup and its list, and check one by the other.

    Returns
    -------
    manifest, digests
        Digests by relative path.

    Raises
    ------
    StorageError
        If the folder is no whole backup, its description or list was changed, or it is of a format
        that this program does not know.
    """
    try:
        values = json.loads((backup / DESCRIPTION).read_text(encoding="utf-8"))
        text = (backup / SUMS).read_bytes()
    except FileNotFoundError as fault:
        name = Path(str(fault.filename)).name
        raise StorageError(f"{backup}: expected a backup, a folder with {name}") from None
    except (OSError, ValueError) as fault:
        raise StorageError(f"{backup}: cannot be read: {type(fault).__name__}") from None
    if not isinstance(values, dict) or values.get("format") not in _KEYS:
        raise StorageError(
            f"{backup}: expected a backup of format {WITHOUT_LEASE} to {FORMAT}: one of another"
            " version of the program is checked and restored by that version"
        )
    if set(values) != _KEYS[values["format"]]:
        raise StorageError(f"{backup / DESCRIPTION}: expected the keys of a backup, got others")
    digest = values.pop(DIGEST, None)
    changed = StorageError(f"{backup / DESCRIPTION}: was changed since the backup was made")
    if digest not in (None, _digest_of_values(values)) or not _is_typed(values):
        raise changed
    if hashlib.sha256(text).hexdigest() != values["sums_sha256"]:
        raise StorageError(f"{backup / SUMS}: was changed since the backup was made")
    digests = read_sums_text(text)
    if values["database"] not in digests or values["files"] != len(digests):
        raise changed
    return Manifest(**values), digests


_NAMES = frozenset(field.name for field in fields(Manifest))
_KEYS = {
    FORMAT: _NAMES | {DIGEST},
    WITHOUT_DIGEST: _NAMES,
    WITHOUT_LEASE: _NAMES - {"lease"},
}
"""Keys of the description, by format."""


def _digest_of_values(values: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _is_typed(values: Mapping[str, object]) -> bool:
    """Tell whether values have their types: descriptions had no digest of themselves at first."""
    numbers = ("format", "files", "bytes")
    if not all(isinstance(value, int if key in numbers else str) for key, value in values.items()):
        return False
    try:
        return datetime.fromisoformat(str(values["made_at"])).tzinfo is not None
    except ValueError:
        return False
