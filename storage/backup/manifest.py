"""Manifest of a backup: a list of digests that ``sha256sum -c`` checks, and what it is a copy of.

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
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from storage.errors import StorageError
from storage.files.disk import blocks_of, naming
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


def digest_of(path: Path) -> str:
    """Read a file and give its SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(backup: Path, names: Iterable[str]) -> int:
    """Give the size of some files of a backup together, bytes."""
    return sum((backup / name).stat().st_size for name in names)


def own_folder(folder: Path) -> None:
    """Make a folder, and those above it, for this user alone; leave one that is there as it is."""
    if not folder.exists():
        own_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def for_us(path: str, flags: int) -> int:
    """Open a file that nobody but this user may read; an opener of :func:`open`."""
    return os.open(path, flags, 0o600)


def copy_file(source: Path, to: Path, digest: str = "") -> str:
    """Copy a file; on return it is on the disk, its name not yet. Return its SHA-256.

    Parameters
    ----------
    digest
        The SHA-256 that it must have, if it is known.

    Raises
    ------
    StorageError
        If it has another; the copy is left where it is.
    OSError
        If one of the two cannot be read or written: the error names it.
    """
    own_folder(to.parent)
    summed = hashlib.sha256()
    with naming(to), open(to, "xb", opener=for_us) as there:
        for block in blocks_of(source):
            summed.update(block)
            there.write(block)
        there.flush()
        os.fsync(there.fileno())
    if digest and summed.hexdigest() != digest:
        raise StorageError(f"{source}: its bytes are not those of its digest")
    return summed.hexdigest()


def write_sums(backup: Path, digests: Mapping[str, str]) -> None:
    """Write the list of digests; on return it is on the disk."""
    with open(backup / SUMS, "xb", opener=for_us) as file:
        file.write(sums_text(digests))
        file.flush()
        os.fsync(file.fileno())


def sums_text(digests: Mapping[str, str]) -> bytes:
    """Write digests by relative path as ``sha256sum`` does: names may be any bytes."""
    lines = (_sums_line(path, digests[path]) for path in sorted(digests))
    return "".join(lines).encode(errors="surrogateescape")


def _sums_line(path: str, digest: str) -> str:
    """Write one line; one with a mark if the name would break it or looks like an escape."""
    escaped = path.translate(_ESCAPES)
    return f"{MARK if escaped != path else ''}{digest}  {escaped}\n"


MARK = "\\"  #: before the digest of a name that is escaped
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})
_ESCAPED = re.compile(r"\\([\\nr])")
_MEANT = {"\\": "\\", "n": "\n", "r": "\r"}


def read_sums_text(text: bytes) -> dict[str, str]:
    """Read digests by relative path.

    Raises
    ------
    StorageError
        If a path leads out of the backup.
    """
    digests: dict[str, str] = {}
    for line in text.decode(errors="surrogateescape").split("\n"):
        digest, _, path = line.partition("  ")
        if digest.startswith(MARK):
            digest = digest.removeprefix(MARK)
            path = _ESCAPED.sub(lambda found: _MEANT[found[1]], path)
        if path:
            digests[path] = digest
    for path in digests:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise StorageError(f"expected paths within the backup in {SUMS}, got another")
    return digests


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
