"""Read the File Meta Information of a file (PS3.10 7.1): UIDs, and offset of the data set.

It names the last sender of an instance, and so is left out of the digest under which it is kept.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag

CHUNK_BYTES = 1 << 20
HEAD_BYTES = 1024  #: read at once; longer File Meta Information is left to pydicom
PREFIX = slice(128, 132)
GROUP = b"\x02\x00"
ELEMENT = struct.Struct("<2xH2sH")  #: element, VR and short length: explicit, little endian
LONG = struct.Struct("<L")
LONG_VR = b"OB"  #: has two reserved bytes and a long length, PS3.5 7.1.2
SHORT_VRS = {b"UI", b"UL", b"SH", b"AE"}
SOP_CLASS, SOP_INSTANCE, SYNTAX, SOURCE_AE = 0x0002, 0x0003, 0x0010, 0x0016


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """The UIDs in the File Meta Information of a file.

    Attributes
    ----------
    source_ae
        AE title of the sender, if the file names it.
    end
        Offset of the data set.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    end: int
    source_ae: str = ""


def read_meta(file: FileIO) -> FileMeta:
    """Read the File Meta Information of a file.

    Raises
    ------
    pydicom.errors.InvalidDicomError
        If it is no DICOM file.
    AttributeError
        If a UID is missing.
    """
    return _scan(file.read(HEAD_BYTES)) or _read(file)


def is_kept_as(path: Path, digest: str) -> bool:
    """Tell whether a SHA-256 is that of the data set of a file, or of all of it.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            start = read_meta(file).end
    except (InvalidDicomError, AttributeError, ValueError, EOFError):
        start = 0
    return sha256_from(path, start) == digest or sha256_from(path, 0) == digest


def sha256_from(path: Path, start: int) -> str:
    """Digest the bytes of a file from an offset on."""
    found = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()


def _scan(head: bytes) -> FileMeta | None:
    """Read the usual form of File Meta Information; pydicom takes ten times as long."""
    values: dict[int, bytes] = {}
    position = PREFIX.stop
    try:
        while head[position : position + 2] == GROUP:
            element, vr, length = ELEMENT.unpack_from(head, position)
            position += ELEMENT.size
            if vr == LONG_VR:
                (length,) = LONG.unpack_from(head, position)
                position += LONG.size
            elif vr not in SHORT_VRS:
                return None
            values[element] = head[position : position + length]
            position += length
        uids = [
            values[element].rstrip(b"\0 ").decode("ascii")
            for element in (SOP_CLASS, SOP_INSTANCE, SYNTAX)
        ]
        source_ae = values.get(SOURCE_AE, b"").decode("ascii").strip(" \0")
    except (struct.error, KeyError, UnicodeDecodeError):
        return None
    is_whole = head[PREFIX] == b"DICM" and position + ELEMENT.size <= len(head)
    return _meta(uids, position, source_ae) if is_whole and all(uids) else None


def _read(file: FileIO) -> FileMeta:
    file.seek(0)
    ds = read_with_pydicom(file)
    uids = ds.MediaStorageSOPClassUID, ds.MediaStorageSOPInstanceUID, ds.TransferSyntaxUID
    source_ae = str(ds.get("SourceApplicationEntityTitle") or "").strip()
    return _meta([str(uid) for uid in uids], file.tell(), source_ae)


def read_with_pydicom(file: BinaryIO) -> Dataset:
    """Read File Meta Information from the start of a file, and stop where the data set starts.

    Raises
    ------
    pydicom.errors.InvalidDicomError
        If it is no DICOM file; other errors of pydicom where it is odd.
    """
    read_preamble(file, force=False)
    return read_dataset(file, False, True, stop_when=_behind_meta)


def _meta(uids: list[str], end: int, source_ae: str) -> FileMeta:
    sop_class, sop_instance, syntax = uids
    return FileMeta(
        sop_class_uid=sop_class,
        sop_instance_uid=sop_instance,
        transfer_syntax_uid=syntax,
        end=end,
        source_ae=source_ae,
    )


def _behind_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != 2
