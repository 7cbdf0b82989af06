"""Cut the segments of an RLE image where their pixels end (PS3.5 annex G)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

RLE_HEADER = struct.Struct("<16L")  #: number of segments, and where each starts (PS3.5 G.5)
FILLER = b"\x00\xff"  #: bytes that writers fill a fragment with
MOST_AMBIGUOUS = 2  #: bytes at the end of the pixels that may look like filler
NOTHING = 128  #: a run of this length byte says nothing (PS3.5 G.3.1)


def without_filler(frame: bytes, rows: int, columns: int) -> bytes:
    """Return an RLE image without what lies behind the pixels of each of its segments.

    Raises
    ------
    ValueError
        If a segment ends before its pixels do, or goes on for another row.
    """
    try:
        count, *starts = RLE_HEADER.unpack_from(frame)
    except struct.error:
        raise ValueError(f"a header of {RLE_HEADER.size} bytes expected") from None
    if not 1 <= count <= len(starts):
        raise ValueError(f"1 to {len(starts)} segments expected, got {count}")
    segments = list(_segments(frame, starts[:count], rows, columns))
    places = [RLE_HEADER.size]
    for segment in segments:
        places.append(places[-1] + len(segment))
    offsets = places[:count] + [0] * (len(starts) - count)
    return RLE_HEADER.pack(count, *offsets) + b"".join(segments)


def _segments(frame: bytes, starts: list[int], rows: int, columns: int) -> Iterator[bytes]:
    for start, end in pairwise([*starts, len(frame)]):
        segment, size = frame[start:end], rows * columns
        length, decoded = _decoded(segment, size)
        if decoded != size:
            raise ValueError(f"{size} bytes in a segment expected, got {decoded}")
        if len(segment.rstrip(FILLER)) + MOST_AMBIGUOUS < length < len(segment) - 1:
            raise ValueError(f"{size} bytes in a segment expected, got filler among them")
        if _decoded(segment[length:].rstrip(FILLER), columns)[1] >= columns:
            raise ValueError(f"{rows} rows expected, got more")
        yield segment[:length] + bytes(length % 2)


def _decoded(segment: bytes, most: int) -> tuple[int, int]:
    """Length of the whole runs that hold so many bytes, and of what they hold (PS3.5 G.3)."""
    at = decoded = 0
    while decoded < most and at < len(segment):
        run = segment[at]
        stored, length = (run + 2, run + 1) if run < NOTHING else (2, 257 - run)
        if run == NOTHING:
            stored, length = 1, 0
        if at + stored > len(segment):
            break
        at, decoded = at + stored, decoded + length
    return at, decoded
