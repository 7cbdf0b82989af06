"""Pack files for a download as they are read: nothing is copied to the disk, or held in memory."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

PIECE = 1 << 20  #: bytes that are read at a time
MISSING = "MISSING.txt"  #: says in the archive how many files are not in it


class _Pieces:
    """A stream that keeps what is written until somebody takes it; it cannot be sought in."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def taken(self) -> bytes:
        found = bytes(self._written)
        self._written.clear()
        return found


def zipped(files: Iterable[tuple[str, Path]], missing: int) -> Iterator[bytes]:
    """Yield a ZIP archive of files, stored as they are; one that has gone meanwhile is left out.

    Parameters
    ----------
    files
        Their names in the archive, and where they are.
    missing
        Number of files that should be in it, and are not there.
    """
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w") as archive:  # type: ignore[call-overload]  # a stream that only writes will do
        for name, path in files:
            try:
                source = path.open("rb")
            except OSError:
                missing += 1
                continue
            entry = zipfile.ZipInfo(name)
            with source, archive.open(entry, "w", force_zip64=True) as target:
                while piece := source.read(PIECE):
                    target.write(piece)
                    yield pieces.taken()
            yield pieces.taken()
        if missing:
            archive.writestr(MISSING, f"{missing} files are not where they were kept\n")
    yield pieces.taken()
