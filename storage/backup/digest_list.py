"""List of the digests of a backup's files, which ``sha256sum -c`` checks."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from storage.backup.copied_files import for_us
from storage.errors import StorageError
from storage.files.sums import SUMS

MARK = "\\"  #: before the digest of a name that is escaped
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})
_ESCAPED = re.compile(r"\\([\\nr])")
_MEANT = {"\\": "\\", "n": "\n", "r": "\r"}


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
