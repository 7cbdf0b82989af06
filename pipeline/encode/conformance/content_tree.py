"""Required attributes of the content items of a report (PS3.3 C.17.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.dataelem import RawDataElement
from pydicom.valuerep import STR_VR

PADDING = b" \0"  #: of text, PS3.5 6.2
_REFERENCE = ("ReferencedSOPSequence",)
VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "CONTAINER": ("ContinuityOfContent",),
        "TEXT": ("TextValue",),
        "CODE": ("ConceptCodeSequence",),
        "NUM": ("MeasuredValueSequence",),
        "UIDREF": ("UID",),
        "PNAME": ("PersonName",),
        "DATE": ("Date",),
        "TIME": ("Time",),
        "DATETIME": ("DateTime",),
        "IMAGE": _REFERENCE,
        "COMPOSITE": _REFERENCE,
        "SCOORD": ("GraphicData", "GraphicType"),
        "SCOORD3D": ("GraphicData", "GraphicType", "ReferencedFrameOfReferenceUID"),
        "TCOORD": ("TemporalRangeType",),
    }
)
"""Value Type to the attributes that hold the value; all of type 1."""

ITEMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "MeasuredValueSequence": ("NumericValue", "MeasurementUnitsCodeSequence"),
        "ReferencedSOPSequence": ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"),
        "ContentTemplateSequence": ("MappingResource", "TemplateIdentifier"),
    }
)
"""Attributes of type 1 in the items of a content item's sequences."""

NAMELESS = frozenset({"IMAGE", "COMPOSITE", "WAVEFORM", "CONTAINER"})
"""Value types that need no Concept Name (1C); the root container does need one (TID)."""


def missing(content: Dataset, *, root: bool = True, place: str = "content") -> Iterator[str]:
    """Find required attributes that a content item, or one below it, lacks, with their places."""
    kind = str(content.get("ValueType") or "")
    needed = ["ValueType", *VALUES.get(kind, ())]
    if root or kind not in NAMELESS:
        needed.append("ConceptNameCodeSequence")
    if not root:
        needed.append("RelationshipType")
    yield from _absent(content, needed, place)
    for keyword, inside in ITEMS.items():
        for item in content.get(keyword) or ():
            yield from _absent(item, inside, f"{place}, {keyword}")
    for number, child in enumerate(content.get("ContentSequence") or (), start=1):
        yield from missing(child, root=False, place=f"{place}.{number}")


def _absent(item: Dataset, keywords: list[str] | tuple[str, ...], place: str) -> Iterator[str]:
    return (f"{keyword} at {place}" for keyword in keywords if not has_value(item, keyword))


def has_value(dataset: Dataset, keyword: str) -> bool:
    """Tell whether an attribute is present and not empty; 0 is a value.

    What was read is judged by its bytes, since decoding all of a report takes a while.
    """
    element = dataset.get_item(keyword_dict[keyword])
    value = None if element is None else element.value
    if isinstance(element, RawDataElement) and isinstance(value, bytes):
        return bool(value.strip(PADDING) if element.VR in STR_VR else value)
    return value is not None and value != "" and (not hasattr(value, "__len__") or len(value) > 0)
