"""Elements as a file gives them: bytes that nobody has looked at."""

from __future__ import annotations

from pydicom.datadict import dictionary_VR, keyword_dict
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag


def as_read(keyword: str, value: bytes) -> RawDataElement:
    """The element as it is read from a file in explicit VR little endian."""
    tag = Tag(keyword_dict[keyword])
    vr = dictionary_VR(tag).partition(" ")[0]
    return RawDataElement(tag, vr, len(value), value, 0, False, True)
