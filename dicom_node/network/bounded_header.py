"""Read the header of a DICOM file, and never more of it than agreed.

Deflate makes a thousand bytes out of one, and a parser a thousand out of an empty item: what a
stranger sent is inflated as a stream and parsed up to the last attribute that is wanted.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from dicom_node.network.file_meta import FileMeta, read_meta

COMPRESSED_CHUNK = 1 << 14  #: bytes of a deflated data set that are inflated at a time
INFLATED_CHUNK = 1 << 20  #: bytes that are in memory while an inflated length is measured


class HeaderTooLong(ValueError):
    """What is looked for lies behind the bytes that may be read."""


def read_start(path: Path, size: int) -> tuple[FileMeta, bytes]:
    """Read the first bytes of a data set, inflated if it is deflated, and its meta information.

    Raises
    ------
    OSError, pydicom.errors.InvalidDicomError, AttributeError, zlib.error
        If it cannot be read, is no DICOM file, or cannot be inflated.
    """
    with path.open("rb", buffering=0) as file:
        meta = read_meta(file)
        file.seek(meta.end)
        return meta, _start(file, meta, size)


def read_attributes(
    path: Path, tags: Collection[int] = (), *, until: int, maximum_bytes: int
) -> tuple[FileMeta, Dataset]:
    """Read attributes of a data set, and its meta information.

    Parameters
    ----------
    tags
        Those that are read; none for all of them.
    until
        A tag: this and those behind it are not read.
    maximum_bytes
        That are inflated or parsed; values that are skipped do not count.

    Raises
    ------
    HeaderTooLong
        If the attributes before `until` do not end within `maximum_bytes`.
    OSError, pydicom.errors.InvalidDicomError, zlib.error, and others of pydicom
        If it cannot be read, or parsed.
    """

    def behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        return int(tag) >= until

    with path.open("rb") as file, path.open("rb", buffering=0) as head:
        meta = read_meta(head)
        file.seek(meta.end)
        source: BinaryIO = file
        is_cut = False
        if is_deflated(meta):
            start = _start(file, meta, maximum_bytes + 1)
            source, is_cut = BytesIO(start), len(start) > maximum_bytes
        ds = read_dataset(
            cast(BinaryIO, _BoundedFile(source, maximum_bytes, is_cut=is_cut)),
            meta.transfer_syntax_uid == ImplicitVRLittleEndian,
            meta.transfer_syntax_uid != ExplicitVRBigEndian,
            stop_when=behind,
            specific_tags=[BaseTag(tag) for tag in tags] or None,
        )
    return meta, ds


def data_set_bytes(path: Path, most: int) -> int:
    """Length of a data set, bytes; of a deflated one what it inflates to, counted up to `most`.

    Raises
    ------
    OSError, pydicom.errors.InvalidDicomError, AttributeError, zlib.error
        As `read_start`.
    """
    with path.open("rb", buffering=0) as file:
        meta = read_meta(file)
        if not is_deflated(meta):
            return path.stat().st_size - meta.end
        file.seek(meta.end)
        inflater, length = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while length <= most and not inflater.eof:
            data = inflater.unconsumed_tail or file.read(INFLATED_CHUNK)
            if not data:
                raise zlib.error("the deflated data set has no end")
            length += len(inflater.decompress(data, INFLATED_CHUNK))
        return length


def is_deflated(meta: FileMeta) -> bool:
    """Say whether the data set of a file is deflated (PS3.5 A.5)."""
    return meta.transfer_syntax_uid == DeflatedExplicitVRLittleEndian


def _start(file: BinaryIO, meta: FileMeta, size: int) -> bytes:
    if not is_deflated(meta):
        return file.read(size)
    inflater, start = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    while len(start) < size and not inflater.eof:
        data = inflater.unconsumed_tail or file.read(COMPRESSED_CHUNK)
        if not data:
            break
        start += inflater.decompress(data, size - len(start))
    return bytes(start)


class _BoundedFile:
    """File of which only so many bytes can be read, wherever.

    Parameters
    ----------
    is_cut
        Whether there is more behind the end of `file`.
    """

    def __init__(self, file: BinaryIO, maximum_bytes: int, *, is_cut: bool) -> None:
        self._file, self._left, self._is_cut = file, maximum_bytes, is_cut
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Read as a file does.

        Raises
        ------
        HeaderTooLong
            If these bytes are more than are left, or lie behind what is there of the file.
        """
        most = self._left + 1
        data = self._file.read(most if size < 0 else min(size, most))
        self._left -= len(data)
        if self._left < 0 or (self._is_cut and len(data) < size):
            raise HeaderTooLong("expected a header of reasonable length, got a longer one")
        return data
