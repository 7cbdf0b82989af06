"""Scan the header of a data set for some elements, quickly, while the first bytes arrive.

pydicom takes as long for a header as the disk for a slice. A data set that is in any way unusual
is left to pydicom: the scan gives no values rather than others than pydicom would give.
"""

from __future__ import annotations

import struct
from collections.abc import Collection

from pydicom.uid import (
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

IMPLICIT = struct.Struct("<HHL")  #: tag, length (PS3.5 7.1.3); explicit: VR and short length there
LONG = struct.Struct("<L")  #: length of VRs with two reserved bytes before the length, PS3.5 7.1.2
LONG_VRS = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_32)
VRS = LONG_VRS | frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)
UNDEFINED = 0xFFFFFFFF  #: length, PS3.5 7.1.1
ITEM, END_OF_ITEM, END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD  #: PS3.5 7.5
ENDS = {END_OF_ITEM, END_OF_SEQUENCE}
DELIMITERS = {ITEM, *ENDS}  #: have no VR
PIXEL_GROUP = 0x7FE0
SYNTAXES = frozenset(map(str, AllTransferSyntaxes)) - {
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
}
MAXIMUM_DEPTH = 8  #: of sequences within sequences


class _Unusual(Exception):
    """The data set is unusual: pydicom has to read it."""


def scan(
    start: bytes,
    transfer_syntax_uid: str,
    tags: Collection[int],
    *,
    until: int = PIXEL_GROUP << 16,
) -> dict[int, bytes] | None:
    """Find the values of some elements at the top level of a data set that has pixel data.

    Parameters
    ----------
    start
        The first bytes of the data set.
    tags
        Tags of the elements to find, in any order.
    until
        What comes behind this tag may be anything.

    Returns
    -------
    dict
        Tag to value, as it is in the data set; None where pydicom has to read it.
    """
    if transfer_syntax_uid not in SYNTAXES:
        return None
    explicit = transfer_syntax_uid != str(ImplicitVRLittleEndian)
    try:
        return _values(start, tags, until, explicit=explicit)
    except (struct.error, _Unusual):  # cut short, or unusual
        return None


def _values(start: bytes, tags: Collection[int], until: int, *, explicit: bool) -> dict[int, bytes]:
    values: dict[int, bytes] = {}
    position = previous = 0
    while True:
        tag, length, position = _element(start, position, explicit=explicit)
        if tag >> 16 == PIXEL_GROUP:
            return values
        if not previous < tag < PIXEL_GROUP << 16:
            raise _Unusual
        if tag > until:
            return values
        previous = tag
        if length == UNDEFINED:
            position = _skip(start, position, END_OF_SEQUENCE, explicit=explicit)
            continue
        if tag in tags:
            values[tag] = start[position : position + length]
        position += length


def _element(data: bytes, position: int, *, explicit: bool) -> tuple[int, int, int]:
    """Read the element at a position: its tag, and length and position of its value."""
    group, element, length = IMPLICIT.unpack_from(data, position)
    tag, vr = group << 16 | element, data[position + 4 : position + 6]
    position += IMPLICIT.size
    if tag in DELIMITERS:
        return tag, length, position
    if (vr in VRS) is not explicit:
        raise _Unusual
    if vr in LONG_VRS:
        return tag, LONG.unpack_from(data, position)[0], position + LONG.size
    return tag, length >> 16 if explicit else length, position


def _skip(data: bytes, position: int, end: int, *, explicit: bool, depth: int = 0) -> int:
    """Skip a sequence or an item of undefined length; return the position behind its delimiter."""
    if depth > MAXIMUM_DEPTH:
        raise _Unusual
    while True:
        tag, length, position = _element(data, position, explicit=explicit)
        if tag == end:
            return position
        if (tag == ITEM) is not (end == END_OF_SEQUENCE) or tag in ENDS:
            raise _Unusual
        if length != UNDEFINED:
            position += length
            continue
        inner = END_OF_ITEM if tag == ITEM else END_OF_SEQUENCE
        position = _skip(data, position, inner, explicit=explicit, depth=depth + 1)
