"""Encode a DICOM file again in implicit VR little endian, the default transfer syntax.

For destinations that take nothing else (PS3.5 10.1). Values are copied byte for byte, so that what
cannot be decoded arrives as it is; sequences get an undefined length, since the headers within
them become shorter (PS3.5 7.1.2, 7.1.3).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from dicom_node.network.file_meta import read_meta
from dicom_node.network.presentation_contexts import DEFAULT_TRANSFER_SYNTAX
from dicom_node.network.received_instance import part10_header

LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT"}
LONG_VRS |= {b"UV"}  #: have two reserved bytes and a length of four, PS3.5 Table 7.1-1
HEADER = struct.Struct("<HH2sH")  #: group, element, VR and short length
IMPLICIT = struct.Struct("<HHL")  #: group, element and length; also of items and delimiters
LENGTH = struct.Struct("<L")
UNDEFINED = 0xFFFFFFFF
ITEM_GROUP, ITEM, ITEM_END, SEQUENCE_END = 0xFFFE, 0xE000, 0xE00D, 0xE0DD  #: PS3.5 7.5
CHUNK_BYTES = 1 << 20  #: of a value on its way


def write_implicit(source: Path, target: Path) -> None:
    """Write a Part 10 file in explicit VR little endian in implicit VR.

    Raises
    ------
    OSError, ValueError, AttributeError, and others of pydicom
        If the file cannot be read, or is not what its transfer syntax says.
    """
    with source.open("rb", buffering=0) as head:
        meta = read_meta(head)
    header = part10_header(meta.sop_class_uid, meta.sop_instance_uid, DEFAULT_TRANSFER_SYNTAX, "")
    with source.open("rb") as file, target.open("wb") as out:
        out.write(header)
        file.seek(meta.end)
        _copy_elements(file, out, source.stat().st_size)


def _copy_elements(file: BinaryIO, out: BinaryIO, end: int) -> None:
    """Copy elements up to an offset, or to the end of an item where there is no offset."""
    while end == UNDEFINED or file.tell() < end:
        group, element, vr, length = HEADER.unpack(_exactly(file, HEADER.size))
        if (group, element) == (ITEM_GROUP, ITEM_END) and end == UNDEFINED:
            return  # its length takes the place of VR and short length
        if vr in LONG_VRS:
            (length,) = LENGTH.unpack(_exactly(file, LENGTH.size))
        elif not vr.isalpha():
            raise ValueError(f"expected explicit VRs, got {vr!r} at ({group:04X},{element:04X})")
        if element == 0:  # group lengths are retired, and would be wrong now: PS3.5 7.2
            _exactly(file, length)
        else:
            _copy_element(file, out, (group, element), vr, length)


def _copy_element(
    file: BinaryIO, out: BinaryIO, tag: tuple[int, int], vr: bytes, length: int
) -> None:
    """Copy an element whose header, in explicit VR, was read."""
    if length == UNDEFINED and vr not in {b"SQ", b"UN"}:
        raise ValueError(f"expected a value of known length, got {vr!r} without")
    out.write(IMPLICIT.pack(*tag, UNDEFINED if vr == b"SQ" else length))
    if vr == b"SQ":
        _copy_items(file, out, length)
    elif length == UNDEFINED:
        _copy_unknown(file, out)
    else:
        _copy(file, out, length)


def _copy_items(file: BinaryIO, out: BinaryIO, length: int) -> None:
    """Copy the items of a sequence; all get an undefined length, and delimiters."""
    end = UNDEFINED if length == UNDEFINED else file.tell() + length
    while end == UNDEFINED or file.tell() < end:
        group, element, size = IMPLICIT.unpack(_exactly(file, IMPLICIT.size))
        if (group, element) == (ITEM_GROUP, SEQUENCE_END):
            break
        if (group, element) != (ITEM_GROUP, ITEM):
            raise ValueError(f"expected an item, got ({group:04X},{element:04X})")
        out.write(IMPLICIT.pack(ITEM_GROUP, ITEM, UNDEFINED))
        _copy_elements(file, out, size if size == UNDEFINED else file.tell() + size)
        out.write(IMPLICIT.pack(ITEM_GROUP, ITEM_END, 0))
    out.write(IMPLICIT.pack(ITEM_GROUP, SEQUENCE_END, 0))


def _copy_unknown(file: BinaryIO, out: BinaryIO) -> None:
    """Copy a value of VR UN and undefined length: implicit VR already (PS3.5 6.2.2)."""
    depth = 1
    while depth:
        header = _exactly(file, IMPLICIT.size)
        group, element, length = IMPLICIT.unpack(header)
        out.write(header)
        if (group, element) == (ITEM_GROUP, SEQUENCE_END):
            depth -= 1
        elif (group, element) in {(ITEM_GROUP, ITEM), (ITEM_GROUP, ITEM_END)}:
            continue  # its elements follow
        elif length == UNDEFINED:
            depth += 1
        else:
            _copy(file, out, length)


def _copy(file: BinaryIO, out: BinaryIO, length: int) -> None:
    while length:
        length -= out.write(_exactly(file, min(length, CHUNK_BYTES)))


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError(f"expected {size} bytes more, got {len(data)}")
    return data
