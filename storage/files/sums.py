"""Digests of the files of a result, kept beside them as ``sha256sum`` writes and checks them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

SUMS = "SHA256SUMS"  #: name of the file


def with_sums(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Add to files, by name, the one that lists their digests, a line each: ``digest  name``."""
    lines = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return {**files, SUMS: "".join(lines).encode("ascii")}


def read_sums(folder: Path) -> dict[str, str]:
    """Read the digests of the files of a result, by name; empty where none were kept.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    try:
        text = (folder / SUMS).read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return {}
    pairs = (line.partition("  ") for line in text.splitlines())
    return {name: digest for digest, _, name in pairs if name}
