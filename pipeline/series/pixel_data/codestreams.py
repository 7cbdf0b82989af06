"""Read the frame header and find the end of a compressed image, before any decoder allocates.

Sources: ISO/IEC 10918-1 (JPEG) B.1.1.2 and B.2, 14495-1 (JPEG-LS) C.1.1 and C.2.2,
15444-1 (JPEG 2000) A.5.1 and B.10.1.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

SOI = b"\xff\xd8"  #: JPEG, JPEG-LS: start of image
END = b"\xff\xd9"  #: end of image of JPEG, JPEG-LS and JPEG 2000 alike
SCAN = 0xDA  #: JPEG, JPEG-LS: start of scan; entropy-coded data follow its segment
JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]", re.DOTALL)
"""Marker that ends entropy-coded data: those hold 0xFF before 0 or a restart marker only."""
JPEG_LS_MARKER = re.compile(rb"\xff[\x80-\xfe]", re.DOTALL)
"""Marker that ends entropy-coded data: those hold 0xFF before a byte below 0x80 only."""
J2K_START = b"\xff\x4f\xff\x51"  #: SOC, SIZ
J2K_DATA = b"\xff\x93"  #: SOD, start of data; packets hold no two bytes above FF8F
JP2_START = b"\x00\x00\x00\x0cjP  "  #: signature box of a JP2 file
J2K_SEARCHED = 4096  #: bytes; some writers put a JP2 box before the codestream
NOT_FRAMES = {0xC4, 0xC8, 0xCC}  #: markers among the SOFs that are none
JPEG_LS_FRAME = 0xF7
BETWEEN_SCANS = {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xF8, 0xFE, *range(0xE0, 0xF0)}
"""DHT, DAC, SOS, DQT, DNL, DRI, LSE, COM, APPn: segments that may follow a scan."""


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


def starts_image(fragment: bytes) -> bool:
    """Say whether a fragment is the first of a JPEG, JPEG-LS or JPEG 2000 image."""
    return fragment.startswith((SOI, J2K_START, JP2_START))


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelsEnd:
    """Place where the compressed pixels end.

    Attributes
    ----------
    position
        Of the first byte that is none of them.
    has_marker
        Whether the end-of-image marker stands there.
    """

    position: int
    has_marker: bool


def pixels_end(data: bytes) -> PixelsEnd:
    """Find where the compressed pixels of a JPEG, JPEG-LS or JPEG 2000 image end.

    What follows the end-of-image marker is filler: a fragment has an even length (PS3.5 A.4), and
    many writers fill it with more than a byte. The marker of a picture within the header does not
    count.
    """
    try:
        end = _jpeg_end(data) if data[:2] == SOI else _jpeg_2000_end(data)
    except (struct.error, IndexError):
        end = len(data)
    return PixelsEnd(position=end, has_marker=data[end : end + 2] == END)


def _jpeg_end(data: bytes) -> int:
    """Walk the marker segments, and the entropy-coded data behind each start of scan."""
    at, end, marker_of_data = 2, len(data), JPEG_MARKER
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == END[1] or (end < len(data) and marker not in BETWEEN_SCANS):
            return end if end < len(data) else len(data)
        if marker == JPEG_LS_FRAME:
            marker_of_data = JPEG_LS_MARKER
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker == SCAN:
            found = marker_of_data.search(data, at)
            at = end = found.start() if found else len(data)
    return end


def _jpeg_2000_end(data: bytes) -> int:
    start = data.find(J2K_DATA)
    end = data.find(END, start) if start >= 0 else -1
    return end if end >= 0 else len(data)


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
