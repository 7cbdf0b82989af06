"""Check an object against its IOD: required attributes, and legal values.

Attributes copied from the source must be present; their values are not judged, because a result
corrects no source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydicom import Dataset
from pydicom.config import RAISE
from pydicom.datadict import dictionary_has_tag, dictionary_VM
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from pipeline.encode.conformance import content_tree, iod
from pipeline.encode.conformance.content_tree import has_value
from pipeline.encode.conformance.iod import Requirement
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.source import copied_attributes
from pipeline.errors import ConformanceError

COPIED = frozenset(
    {
        *copied_attributes.SOP_COMMON,
        *copied_attributes.PATIENT,
        *copied_attributes.STUDY,
        *copied_attributes.SERIES,
        *copied_attributes.LOSSY,
    }
    | {"ReferencedRequestSequence"}
)
"""Their values and items are not checked."""

PLACES = frozenset({"ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"})
"""Written digit by digit as in the source, even where those are more than a DS may have."""

OWN_UIDS = ("SOPInstanceUID", "SeriesInstanceUID")

JUDGED = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "SH", "ST", "TM", "UR"})
"""Value representations with a form to check; not UI: the source may have odd ones."""


def conform(result: Dataset, kind: ResultKind) -> None:
    """Refuse an object that lacks a required attribute, or holds an illegal value.

    Raises
    ------
    ConformanceError
        The message names attribute, type and module, never a value.
    """
    sop_class = str(result.get("SOPClassUID") or "")
    try:
        asked = iod.requirements(sop_class)
    except ValueError as fault:
        raise ConformanceError(f"the {kind} does not conform: {fault}") from fault
    found = [*_absent(result, asked), *_absent_groups(result), *_illegal(result)]
    if iod.has_content_tree(sop_class):
        found += [f"no {fault} ({iod.CONTENT})" for fault in content_tree.missing(result)]
    if found:
        others = f", and {len(found) - 1} more faults" if len(found) > 1 else ""
        raise ConformanceError(f"the {kind} does not conform: {found[0]}{others}")


def _absent(dataset: Dataset, asked: Mapping[int, Requirement]) -> Iterator[str]:
    """Faults: required attributes that are absent or empty, also in items."""
    present = {int(tag) for tag in dataset.keys()}  # noqa: SIM118  iterating gives elements
    for tag, requirement in asked.items():
        keyword = requirement.keyword
        if tag not in present:
            if requirement.type < 3:
                yield f"no {keyword} (type {requirement.type}, {requirement.module})"
        elif requirement.type == 1 and not has_value(dataset, keyword):
            yield f"{keyword} is empty (type 1, {requirement.module})"
        elif requirement.items and keyword not in COPIED:
            for item in dataset[tag].value or ():
                yield from _absent(item, requirement.items)


def _absent_groups(dataset: Dataset) -> Iterator[str]:
    """Faults: functional groups that some frame has neither of its own nor shared."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or [Dataset()]
    for group in iod.GROUPS.get(str(dataset.SOPClassUID), ()):
        if not has_value(shared[0], group) and not all(has_value(frame, group) for frame in frames):
            yield f"no {group} for every frame (multi-frame-functional-groups)"


def _illegal(dataset: Dataset) -> Iterator[str]:
    """Faults: attributes whose value has the wrong form, length or multiplicity."""
    for keyword in OWN_UIDS:
        if not UID(dataset.get(keyword) or "").is_valid:
            yield f"{keyword} is no UID"
    for element in dataset:
        yield from _illegal_element(element)


def _illegal_element(element: DataElement) -> Iterator[str]:
    keyword = element.keyword
    if keyword in COPIED or keyword in PLACES:
        return
    if element.VR == "SQ":
        coded = keyword.endswith("CodeSequence")
        for item in element.value or ():
            if coded and not _is_code(item):
                yield f"an item of {keyword} is no code (PS3.3 8.8)"
            for inner in item:
                yield from _illegal_element(inner)
    elif element.VR in JUDGED and not _is_legal(element):
        yield f"{keyword} has no legal value of {element.VR}"
    elif isinstance(element.value, MultiValue) and not _has_legal_multiplicity(element):
        yield f"{keyword} has {element.VM} values"


def _is_code(item: Dataset) -> bool:
    if not has_value(item, "CodeMeaning"):
        return False
    if has_value(item, "URNCodeValue"):
        return True
    valued = has_value(item, "CodeValue") or has_value(item, "LongCodeValue")
    return valued and has_value(item, "CodingSchemeDesignator")


def _is_legal(element: DataElement) -> bool:
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    try:
        for value in values:
            if value is not None:
                validate_value(str(element.VR), str(value), RAISE)
    except ValueError:
        return False
    return True


def _has_legal_multiplicity(element: DataElement) -> bool:
    """Tell whether PS3.6 allows the number of values; the type decides whether it may be none."""
    if not element.value or not dictionary_has_tag(element.tag):
        return True
    least, _, most = dictionary_VM(element.tag).partition("-")
    if most and not most.isdigit():  # 1-n, 2-2n, ...
        return int(least) <= element.VM
    return int(least) <= element.VM <= int(most or least)
