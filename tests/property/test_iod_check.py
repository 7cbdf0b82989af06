"""The IOD check refuses every object that lacks a required attribute or holds an illegal value."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset
from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_dict

from dicom_node.delivery.result_classes import RESULT_CLASSES
from pipeline.encode.bundle import encode
from pipeline.encode.conformance import content_tree, iod
from pipeline.encode.conformance import iod_check as gate
from pipeline.encode.conformance.iod import Requirement
from pipeline.encode.conformance.iod_check import conform
from pipeline.encode.conformance.outgoing_check import check
from pipeline.encode.result.identity import Rejection
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.products import HeatmapForm, Products, SegmentationForm
from pipeline.encode.result.result_objects import ResultBundle, ResultObject
from pipeline.encode.sr.notice import not_analysed
from pipeline.encode.sr.rejection_note import rejection_note
from pipeline.errors import ConformanceError
from tests.support.samples.encode_samples import analysis, context, ct_series, prior

EVERYTHING = Products(summary_pdf=True, parametric_map=True, key_images=True)
OTHER_FORMS = Products(segmentation=SegmentationForm.LABELMAP, heatmap=HeatmapForm.MULTI_FRAME)
SERIES = ct_series()


def _objects() -> dict[str, ResultObject]:
    """One object of each kind and form."""
    found = {}
    for wanted in (OTHER_FORMS, EVERYTHING):
        for item in encode(SERIES, analysis(), context(products=wanted)).objects:
            found[f"{item.kind} {item.dataset.SOPClassUID.name}"] = item
    notice = not_analysed(SERIES.headers, "too-few-slices", "Too few.", context())
    note = rejection_note(
        SERIES.common.header, Rejection(destination="PACS", objects=(prior().report,)), context()
    )
    return found | {
        "notice": ResultObject(kind=ResultKind.NOTICE, dataset=notice),
        "rejection note": ResultObject(kind=ResultKind.REJECTION_NOTE, dataset=note),
    }


OBJECTS = _objects()
SORTED = sorted(OBJECTS)


def required(
    dataset: Dataset, asked: dict[int, Requirement] | None = None
) -> Iterator[tuple[Dataset, int, int]]:
    """Every place where an attribute has to be: the data set or item, the tag, the type."""
    level = iod.requirements(dataset.SOPClassUID) if asked is None else asked
    for tag, requirement in level.items():
        keyword = requirement.keyword
        if tag in dataset:
            if requirement.type < 3 and keyword != "SOPClassUID":  # by it the others are looked up
                yield dataset, tag, requirement.type
            for item in (dataset[tag].value or ()) if requirement.items else ():
                if keyword not in gate.COPIED:
                    yield from required(item, requirement.items)


def content_items(content: Dataset) -> Iterator[Dataset]:
    yield content
    for child in content.get("ContentSequence") or ():
        yield from content_items(child)


def test_every_kind_of_result_is_tried() -> None:
    assert {item.kind for item in OBJECTS.values()} == set(ResultKind)


def test_the_list_of_what_is_sent_is_what_is_made() -> None:
    made = {(item.kind, item.dataset.SOPClassUID) for item in OBJECTS.values()}
    assert {(sent.kind, sent.sop_class) for sent in RESULT_CLASSES} == made


@pytest.mark.parametrize("name", SORTED)
def test_every_kind_passes(name: str) -> None:
    conform(OBJECTS[name].dataset, OBJECTS[name].kind)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_without_a_required_attribute_nothing_leaves(data: st.DataObject) -> None:
    item = OBJECTS[data.draw(st.sampled_from(SORTED))]
    places = list(required(item.dataset))
    place, tag, kind = places[data.draw(st.integers(0, len(places) - 1))]
    taken = place[tag]
    try:
        del place[tag]
        with pytest.raises(ConformanceError, match=f"no {taken.keyword}"):
            conform(item.dataset, item.kind)
        if kind == 1:
            place.add_new(tag, taken.VR, [] if taken.VR == "SQ" else None)
            with pytest.raises(ConformanceError, match=f"{taken.keyword} is empty"):
                conform(item.dataset, item.kind)
    finally:
        place[tag] = taken


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_without_the_value_of_a_content_item_no_report_leaves(data: st.DataObject) -> None:
    reports = [name for name in SORTED if "ContentSequence" in OBJECTS[name].dataset]
    item = OBJECTS[data.draw(st.sampled_from(reports))]
    items = list(content_items(item.dataset))
    content = items[data.draw(st.integers(0, len(items) - 1))]
    keyword = data.draw(st.sampled_from(["ValueType", *content_tree.VALUES[content.ValueType]]))
    taken = content[keyword]
    try:
        del content[keyword]
        with pytest.raises(ConformanceError, match=f"no {keyword} at content"):
            conform(item.dataset, item.kind)
    finally:
        content[keyword] = taken


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("SeriesDescription", "x" * 65, "SeriesDescription has no legal value of LO"),
        ("ContentDate", "2026-11-22", "ContentDate has no legal value of DA"),
        ("ContentQualification", "Research", "ContentQualification has no legal value of CS"),
        ("SeriesNumber", ["1", "2"], "SeriesNumber has 2 values"),
        ("SOPInstanceUID", "2.25.x", "SOPInstanceUID is no UID"),
        ("SOPClassUID", "1.2.3", "expected a SOP class of the standard"),
    ],
)
def test_illegal_values_do_not_leave(keyword: str, value: object, message: str) -> None:
    item = OBJECTS["notice"]
    taken = item.dataset[keyword]
    try:
        with disable_value_validation():
            item.dataset.add_new(keyword_dict[keyword], taken.VR, value)
            with pytest.raises(ConformanceError, match=message):
                conform(item.dataset, item.kind)
    finally:
        item.dataset[keyword] = taken


def test_half_a_code_does_not_leave() -> None:
    item = OBJECTS["notice"]
    code = item.dataset.ConceptNameCodeSequence[0]
    taken = code["CodingSchemeDesignator"]
    try:
        del code.CodingSchemeDesignator
        with pytest.raises(ConformanceError, match="ConceptNameCodeSequence is no code"):
            conform(item.dataset, item.kind)
    finally:
        code["CodingSchemeDesignator"] = taken


def test_a_functional_group_may_be_shared_or_of_each_frame_but_not_absent() -> None:
    item = OBJECTS["segmentation Segmentation Storage"]
    shared = item.dataset.SharedFunctionalGroupsSequence[0]
    taken = shared["PixelMeasuresSequence"]
    frames = item.dataset.PerFrameFunctionalGroupsSequence
    try:
        del shared.PixelMeasuresSequence
        with pytest.raises(ConformanceError, match="no PixelMeasuresSequence for every frame"):
            conform(item.dataset, item.kind)
        for frame in frames:
            frame.PixelMeasuresSequence = taken.value
        conform(item.dataset, item.kind)
    finally:
        shared["PixelMeasuresSequence"] = taken
        for frame in frames:
            frame.pop("PixelMeasuresSequence", None)


def test_the_identity_of_the_source_is_its_own_matter_and_nothing_else_is() -> None:
    item = OBJECTS["notice"]
    taken = {keyword: item.dataset[keyword] for keyword in ("PatientID", "PatientSex")}
    try:
        with disable_value_validation():
            item.dataset["PatientID"] = DataElement("PatientID", "LO", "x" * 70)
            conform(item.dataset, item.kind)
            item.dataset["PatientSex"] = DataElement("PatientSex", "CS", "female?")
            with pytest.raises(ConformanceError, match="PatientSex has no legal value of CS"):
                conform(item.dataset, item.kind)
    finally:
        for keyword, element in taken.items():
            item.dataset[keyword] = element


def test_the_check_of_a_bundle_asks_for_conformance_and_names_no_value() -> None:
    item = OBJECTS["report Comprehensive 3D SR Storage"]
    taken = item.dataset["CompletionFlag"]
    try:
        del item.dataset.CompletionFlag
        with pytest.raises(ConformanceError) as raised:
            check(ResultBundle(key="k", objects=tuple(OBJECTS.values())), SERIES)
    finally:
        item.dataset["CompletionFlag"] = taken
    expected = "the report does not conform: no CompletionFlag (type 1, sr-document-general)"
    assert str(raised.value) == expected
