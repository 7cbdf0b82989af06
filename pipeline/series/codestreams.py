"""Read the frame header of a compressed image, before any decoder allocates for it.

Sources: ISO/IEC 10918-1 (JPEG) B.2.2, 14495-1 (JPEG-LS) C.2.2, 15444-1 (JPEG 2000) A.5.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

SOI = b"\xff\xd8"  #: JPEG, JPEG-LS: start of image
END = b"\xff\xd9"  #: end of image of JPEG, JPEG-LS and JPEG 2000 alike
J2K_START = b"\xff\x4f\xff\x51"  #: SOC, SIZ
J2K_SEARCHED = 4096  #: bytes; some writers put a JP2 box before the codestream
NOT_FRAMES = {0xC4, 0xC8, 0xCC}  #: markers among the SOFs that are none
JPEG_LS_FRAME = 0xF7


@dataclass(frozen=True, slots=True, kw_only=True)
class Codestream:
    """Frame header of a compressed image."""

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool = False


def read_header(data: bytes) -> Codestream:
    """Frame header of a JPEG, JPEG-LS or (HT)J2K codestream.

    Raises
    ------
    ValueError
        If it is none of them or ends before the header does.
    """
    try:
        return _jpeg(data) if data[:2] == SOI else _jpeg_2000(data)
    except (struct.error, IndexError):
        raise ValueError(f"ends within its header after {len(data)} bytes") from None


def is_whole(data: bytes) -> bool:
    """Say whether the end-of-image marker is there, but for padding after it."""
    return data.rstrip(b"\x00")[-2:] == END


def _jpeg(data: bytes) -> Codestream:
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError(f"marker expected at byte {at}, got 0x{data[at]:02x}")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if (0xC0 <= marker <= 0xCF and marker not in NOT_FRAMES) or marker == JPEG_LS_FRAME:
            precision, rows, columns, components = struct.unpack_from(">BHHB", data, at + 4)
            return Codestream(
                rows=rows, columns=columns, components=components, precision=precision
            )
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]


def _jpeg_2000(data: bytes) -> Codestream:
    start = data.find(J2K_START, 0, J2K_SEARCHED)
    if start < 0:
        raise ValueError("neither JPEG nor JPEG 2000")
    wide, high, left, top = struct.unpack_from(">4I", data, start + 8)
    components, depth = struct.unpack_from(">HB", data, start + 40)
    return Codestream(
        rows=high - top,
        columns=wide - left,
        components=components,
        precision=(depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
    )
