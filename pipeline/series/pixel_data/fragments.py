"""Split encapsulated Pixel Data into the bytes of each frame (PS3.5 A.4).

The offset tables may be empty, absent or wrong; the fragments themselves say where an image
starts. So the tables are asked last.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate

from pydicom.encaps import generate_fragments, parse_basic_offsets

from pipeline.series.pixel_data.codestreams import starts_image

ITEM_HEADER = 8  #: bytes: tag and length of an item, PS3.5 7.5
RLE_HEADER = 64  #: bytes: number of segments, and where they start (PS3.5 G.5)
MAX_RLE_SEGMENTS = 15


def split_frames(data: bytes, frames: int, extended_offsets: bytes = b"") -> list[bytes]:
    """Split the value of Pixel Data into one string of bytes for each frame.

    Parameters
    ----------
    data
        Basic Offset Table and fragments.
    extended_offsets
        Value of Extended Offset Table, if there is one (PS3.3 C.7.6.3.1.8).

    Raises
    ------
    ValueError, EOFError
        If there are no fragments, or they cannot be told apart as that many frames.
    """
    offsets = parse_basic_offsets(data) or _extended(extended_offsets)
    stored = list(generate_fragments(data))
    fragments = [fragment for fragment in stored if fragment]
    if len(fragments) == frames and (frames > 1 or len(offsets) <= 1):
        return fragments
    starts = [at for at, fragment in enumerate(fragments) if _starts_frame(fragment)]
    if starts and len(starts) == frames:
        return _joined(fragments, starts)
    if frames == 1 and len(starts) < 2 and len(offsets) < 2:
        return [b"".join(fragments)]
    if frames > 1 and len(offsets) == frames:
        return _joined(stored, _first_fragments(stored, offsets))
    got = max(len(starts), len(offsets)) or len(fragments)
    raise ValueError(f"expected {frames} frames, got {got}")


def _extended(table: bytes) -> list[int]:
    """Offsets of an Extended Offset Table: 64 bits each (PS3.6, value representation OV)."""
    return list(struct.unpack(f"<{len(table) // 8}Q", table[: len(table) // 8 * 8]))


def _starts_frame(fragment: bytes) -> bool:
    return starts_image(fragment) or _starts_rle(fragment)


def _starts_rle(fragment: bytes) -> bool:
    if len(fragment) < RLE_HEADER:
        return False
    segments, first = struct.unpack_from("<2L", fragment)
    return bool(1 <= segments <= MAX_RLE_SEGMENTS and first == RLE_HEADER)


def _first_fragments(fragments: Sequence[bytes], offsets: Sequence[int]) -> list[int]:
    """Place of the first fragment of each frame, by the offsets of their items."""
    positions = accumulate((ITEM_HEADER + len(fragment) for fragment in fragments), initial=0)
    places = {position: place for place, position in enumerate(positions)}
    try:
        return [places[offset] for offset in offsets]
    except KeyError:
        raise ValueError("offset tables that point at fragments expected, got others") from None


def _joined(fragments: Sequence[bytes], starts: Sequence[int]) -> list[bytes]:
    ends = [*starts[1:], len(fragments)]
    return [b"".join(fragments[start:end]) for start, end in zip(starts, ends, strict=True)]
