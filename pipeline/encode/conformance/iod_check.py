"""Check an object against its IOD: required attributes, and legal values.

Names and identifiers of the source are not judged: a result corrects no identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VM, keyword_for_tag
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pydicom.valuerep import STR_VR

from pipeline.encode.common.as_written import distinct
from pipeline.encode.conformance import content_tree, iod
from pipeline.encode.conformance.content_tree import has_value
from pipeline.encode.conformance.iod import Requirement
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.source import copied_attributes
from pipeline.encode.source.value_representations import SINGLE, is_legal
from pipeline.errors import ConformanceError
from pipeline.series.attributes import peek_text

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
"""What a copied sequence lacks, the source lacks: its items are not required to be complete."""

OWN_UIDS = ("SOPInstanceUID", "SeriesInstanceUID")

JUDGED = STR_VR - {"UI"}
"""Value representations with a form to check; not UI: the source may have odd ones."""


def conform(result: Dataset, kind: ResultKind, judged: Dataset | None = None) -> None:
    """Refuse an object that lacks a required attribute, or holds an illegal value.

    Parameters
    ----------
    judged
        From `distinct`: of all elements, or of those that are not the same in an object of that
        kind that conforms; without it, of all.

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
    if judged is None:
        judged = distinct(result)
    if judged.keys() != result.keys():
        present = {int(tag) for tag in judged.keys()}  # noqa: SIM118  iterating gives elements
        asked = {tag: requirement for tag, requirement in asked.items() if tag in present}
    found = [*_absent(judged, asked), *_absent_groups(result), *_illegal(result, judged)]
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


def _illegal(dataset: Dataset, judged: Dataset) -> Iterator[str]:
    """Faults: attributes whose value has the wrong form, length or multiplicity."""
    for keyword in OWN_UIDS:
        if not UID(dataset.get(keyword) or "").is_valid:
            yield f"{keyword} is no UID"
    yield from _illegal_values(judged)


def _illegal_values(dataset: Dataset) -> Iterator[str]:
    """Faults of the values at this level and in items; text is judged without decoding it."""
    for tag in dataset.keys():  # noqa: SIM118  # iterating the data set itself decodes it
        keyword, vr = keyword_for_tag(tag), str(dataset.get_item(tag).VR)
        if keyword in copied_attributes.IDENTITY:
            continue
        if vr == "SQ":
            coded = keyword.endswith("CodeSequence")
            for item in dataset[tag].value or ():
                if coded and not _is_code(item):
                    yield f"an item of {keyword} is no code (PS3.3 8.8)"
                yield from _illegal_values(item)
            continue
        values = _values(dataset, tag, vr)
        if vr in JUDGED and not all(is_legal(vr, str(value)) for value in values):
            yield f"{keyword} has no legal value of {vr}"
        elif not _has_legal_multiplicity(tag, len(values)):
            yield f"{keyword} has {len(values)} values"


def _values(dataset: Dataset, tag: int, vr: str) -> Sequence[object]:
    """Values of an element: text without decoding it, of numbers those that are several."""
    if vr in STR_VR and dictionary_has_tag(tag):
        written = peek_text(dataset, keyword_for_tag(tag)).removesuffix("\0" if vr == "UI" else "")
        if not written or vr in SINGLE:
            return [written] if written else []
        return [value.strip(" ") for value in written.split("\\")]
    value = dataset[tag].value
    return value if isinstance(value, MultiValue) else []


def _is_code(item: Dataset) -> bool:
    if not has_value(item, "CodeMeaning"):
        return False
    if has_value(item, "URNCodeValue"):
        return True
    valued = has_value(item, "CodeValue") or has_value(item, "LongCodeValue")
    return valued and has_value(item, "CodingSchemeDesignator")


def _has_legal_multiplicity(tag: int, count: int) -> bool:
    """Tell whether PS3.6 allows the number of values; the type decides whether it may be none."""
    if not count or not dictionary_has_tag(tag):
        return True
    least, _, most = dictionary_VM(tag).partition("-")
    if most and not most.isdigit():  # 1-n, 2-2n, ...
        return int(least) <= count
    return int(least) <= count <= int(most or least)
