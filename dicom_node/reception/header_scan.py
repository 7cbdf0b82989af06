"""The quick reading of a header: from the first bytes of a data set, as they come in.

pydicom takes as long for a header as the disk for a slice. What is anything but plain here is
left to it: the scan says nothing rather than something else than pydicom would.
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
LONG = struct.Struct("<L")  #: the length of VRs that have two reserved bytes before it, PS3.5 7.1.2
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
DEEPEST = 8  #: sequences within sequences


class _Unusual(Exception):
    """Something pydicom should look at."""


def scan(start: bytes, transfer_syntax_uid: str, tags: Collection[int]) -> dict[int, bytes] | None:
    """Find the values of some elements at the top level of a data set that has pixel data.

    Parameters
    ----------
    start
        The first bytes of the data set.
    tags
        Of elements whose value is wanted, in any order.

    Returns
    -------
    dict
        Tag to value, as it is in the data set; None where pydicom has to look.
    """
    if transfer_syntax_uid not in SYNTAXES:
        return None
    explicit = transfer_syntax_uid != str(ImplicitVRLittleEndian)
    try:
        return _values(start, tags, explicit=explicit)
    except (struct.error, _Unusual):  # it is cut short, or odd
        return None


def _values(start: bytes, tags: Collection[int], *, explicit: bool) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    position = before = 0
    while True:
        tag, length, position = _element(start, position, explicit=explicit)
        if tag >> 16 == PIXEL_GROUP:
            return found
        if not before < tag < PIXEL_GROUP << 16:
            raise _Unusual
        before = tag
        if length == UNDEFINED:
            position = _past(start, position, END_OF_SEQUENCE, explicit=explicit)
            continue
        if tag in tags:
            found[tag] = start[position : position + length]
        position += length


def _element(data: bytes, position: int, *, explicit: bool) -> tuple[int, int, int]:
    """Tag, length and place of the value of the element at a place."""
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


def _past(data: bytes, position: int, end: int, *, explicit: bool, depth: int = 0) -> int:
    """Pass over a sequence or an item without a length; say where its delimiter ends."""
    if depth > DEEPEST:
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
        position = _past(data, position, inner, explicit=explicit, depth=depth + 1)
