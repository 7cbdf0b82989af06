"""Required attributes of an IOD (PS3.3), as a tree.

The tables of PS3.3 are those that highdicom carries and checks its own objects by. They leave open
when a conditional module, attribute or functional group is needed; `ALWAYS` and `GROUPS` close
that for the objects that this node makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from highdicom import _standard_utils as standard
from pydicom.datadict import tag_for_keyword
from pydicom.uid import (
    UID,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from pipeline.encode.result.kinds import LABEL_MAP_STORAGE

CONTENT = "sr-document-content"
"""Module whose attributes depend on the value type: see the module `content_tree`."""

FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

EVIDENCE = "CurrentRequestedProcedureEvidenceSequence"

ALWAYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "frame-of-reference": ("FrameOfReferenceUID",),
        "image-pixel": ("PixelData",),
        "floating-point-image-pixel": ("FloatPixelData",),
        "segmentation-multi-frame-functional-groups": ("PerFrameFunctionalGroupsSequence",),
        "parametric-map-multi-frame-functional-groups": ("PerFrameFunctionalGroupsSequence",),
        "common-instance-reference": ("ReferencedSeriesSequence",),
        "sr-document-general": (EVIDENCE,),
    }
)
"""Conditional attributes that an object of this node has if it has the module."""

MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        SegmentationStorage: ("frame-of-reference", "common-instance-reference"),
        LABEL_MAP_STORAGE: ("frame-of-reference", "common-instance-reference"),
        ParametricMapStorage: ("floating-point-image-pixel", "common-instance-reference"),
        SecondaryCaptureImageStorage: ("general-equipment",),
        MultiFrameTrueColorSecondaryCaptureImageStorage: ("general-equipment",),
    }
)
"""Conditional and optional modules that objects of this node always have."""

_PLANES = (
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "FrameContentSequence",
)
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        SegmentationStorage: (*_PLANES, "SegmentIdentificationSequence"),
        LABEL_MAP_STORAGE: _PLANES,
        ParametricMapStorage: (
            *_PLANES,
            "ParametricMapFrameTypeSequence",
            "RealWorldValueMappingSequence",
        ),
    }
)
"""Functional groups that every frame has, of its own or shared (PS3.3 A.51.5, A.75.5)."""


@dataclass(slots=True, kw_only=True)
class Requirement:
    """Requirement on one attribute, and on the attributes of its items.

    Attributes
    ----------
    type
        1 (present with a value), 2 (present), or 3 (anything else).
    module
        Module that requires it.
    items
        Tag to requirement, for a sequence.
    """

    keyword: str
    type: int
    module: str
    items: dict[int, Requirement] = field(default_factory=dict)


@lru_cache
def requirements(sop_class_uid: str) -> Mapping[int, Requirement]:
    """List the requirements of an IOD, by tag.

    Raises
    ------
    ValueError
        If the tables do not know the SOP class.
    """
    iod = standard.get_sop_class_iod_map().get(sop_class_uid)
    if iod is None:
        raise ValueError(f"expected a SOP class of the standard, got {sop_class_uid}")
    root: dict[int, Requirement] = {}
    for module in standard.get_iod_module_map()[iod]:
        key = module["key"]
        asked = module["usage"] == "M" or key in MODULES.get(sop_class_uid, ())
        if key != CONTENT:
            _add_module(root, key, asked=asked)
    return MappingProxyType(_pruned(root))


def _pruned(level: dict[int, Requirement]) -> dict[int, Requirement]:
    """Leave out rows without a requirement of their own or in their items."""
    for requirement in level.values():
        requirement.items = _pruned(requirement.items)
    return {tag: row for tag, row in level.items() if row.type < 3 or row.items}


def modules(sop_class_uid: str) -> Iterator[tuple[str, str]]:
    """Modules of an IOD with their usage (M, C, U), in the order of the standard."""
    iod = standard.get_sop_class_iod_map()[sop_class_uid]
    for module in standard.get_iod_module_map()[iod]:
        yield module["key"], module["usage"]


def has_content_tree(sop_class_uid: UID | str) -> bool:
    """Tell whether objects of the class have a content tree: reports, Key Object Selections."""
    return any(key == CONTENT for key, _ in modules(sop_class_uid))


def _add_module(root: dict[int, Requirement], module: str, *, asked: bool) -> None:
    for entry in standard.get_module_attribute_map()[module]:
        _add(root, module, entry, asked=asked)


def _add(
    root: dict[int, Requirement], module: str, entry: Mapping[str, object], *, asked: bool
) -> None:
    """Put one row of a table in its place; of two rows for one place the stricter holds."""
    keyword, path = str(entry["keyword"]), [str(step) for step in _listed(entry["path"])]
    place = root
    for step in path:
        place = place[int(tag_for_keyword(step) or 0)].items
    tag = tag_for_keyword(keyword)
    if tag is None:
        return
    kind = _type(keyword, path, str(entry["type"]), module) if asked or path else 3
    known = place.setdefault(tag, Requirement(keyword=keyword, type=kind, module=module))
    if kind < known.type:
        known.type, known.module = kind, module


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _type(keyword: str, path: list[str], written: str, module: str) -> int:
    """Type as a number; `GROUPS` decides which functional groups are required."""
    if not path and keyword in ALWAYS.get(module, ()):
        return 1
    if path and path[-1] in FUNCTIONAL_GROUPS:
        return 3
    return {"1": 1, "2": 2}.get(written, 3)
