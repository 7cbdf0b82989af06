"""The table of result kinds is whole, and agrees with the objects that are encoded."""

from __future__ import annotations

from dataclasses import fields

import pytest
from pydicom import Dataset

from pipeline.encode.bundle import encode
from pipeline.encode.conformance import iod
from pipeline.encode.result.identity import Rejection, ReportReference
from pipeline.encode.result.kinds import (
    MAIN_DOCUMENTS,
    RESULT_KINDS,
    SUBSTITUTES,
    SUPERSEDING,
    ResultKind,
)
from pipeline.encode.result.products import HeatmapForm, Products, SegmentationForm
from pipeline.encode.result.series_numbers import DEFAULT_SERIES_NUMBER_BASE, NUMBERS_PER_RESULT
from pipeline.encode.sr.notice import not_analysed
from pipeline.encode.sr.rejection_note import rejection_note
from tests.support.samples.encode_samples import analysis, context, ct_series

EVERYTHING = Products(summary_pdf=True, parametric_map=True, key_images=True)
OTHER_FORMS = Products(segmentation=SegmentationForm.LABELMAP, heatmap=HeatmapForm.MULTI_FRAME)

IN_NO_BUNDLE = {ResultKind.NOTICE, ResultKind.REJECTION_NOTE}
ROWS = RESULT_KINDS.values()
FORMS = [(kind, form) for kind, row in RESULT_KINDS.items() for form in row.forms]


@pytest.fixture(scope="module")
def encoded() -> list[tuple[ResultKind, Dataset]]:
    """Objects of every kind and form, in the order of sending; notice and note last."""
    series = ct_series()
    bundles = [
        encode(series, analysis(), context(products=products))
        for products in (EVERYTHING, OTHER_FORMS)
    ]
    notice = not_analysed(series.headers, "gap", "a slice is missing", context())
    objects = [(item.kind, item.dataset) for bundle in bundles for item in bundle.objects]
    return [*objects, (ResultKind.NOTICE, notice), (ResultKind.REJECTION_NOTE, note_of(objects))]


def note_of(objects: list[tuple[ResultKind, Dataset]]) -> Dataset:
    """Rejection note of all these objects."""
    named = tuple(
        ReportReference(
            sop_class_uid=dataset.SOPClassUID,
            sop_instance_uid=dataset.SOPInstanceUID,
            series_instance_uid=dataset.SeriesInstanceUID,
            study_instance_uid=dataset.StudyInstanceUID,
        )
        for _, dataset in objects
    )
    rejection = Rejection(destination="PACS", objects=named)
    return rejection_note(ct_series().common.header, rejection, context())


def test_every_kind_has_a_row() -> None:
    assert set(RESULT_KINDS) == set(ResultKind)


def test_every_form_of_every_kind_is_encoded_and_no_other(
    encoded: list[tuple[ResultKind, Dataset]],
) -> None:
    made = {(kind, dataset.SOPClassUID) for kind, dataset in encoded}
    assert made == {(kind, form.sop_class) for kind, form in FORMS}


def test_results_are_sent_in_the_order_of_the_table() -> None:
    bundle = encode(ct_series(), analysis(), context(products=EVERYTHING))
    kinds = dict.fromkeys(item.kind for item in bundle.objects)
    assert list(kinds) == [kind for kind in RESULT_KINDS if kind not in IN_NO_BUNDLE]


def test_the_series_of_an_object_is_the_one_of_its_row(
    encoded: list[tuple[ResultKind, Dataset]],
) -> None:
    for kind, dataset in encoded:
        row = RESULT_KINDS[kind]
        assert dataset.SeriesNumber == DEFAULT_SERIES_NUMBER_BASE + row.series_offset
        assert dataset.Modality == row.modality
        assert f": {row.description}" in dataset.SeriesDescription
        assert dataset.SeriesDescriptionCodeSequence[0].CodeValue == row.code.value


def test_series_numbers_of_one_result_differ_and_reach_into_no_other() -> None:
    offsets = [row.series_offset for row in ROWS]
    assert sorted(set(offsets)) == sorted(offsets)
    assert set(offsets) <= set(range(NUMBERS_PER_RESULT))


@pytest.mark.parametrize("kind", ResultKind)
def test_no_kind_substitutes_itself_and_what_is_in_no_bundle_nothing(kind: ResultKind) -> None:
    substitutes = RESULT_KINDS[kind].substitutes
    assert kind not in substitutes
    assert not IN_NO_BUNDLE & set(substitutes)
    assert len(set(substitutes)) == len(substitutes)


def test_every_kind_of_a_bundle_has_a_substitute() -> None:
    assert set(SUBSTITUTES) == set(ResultKind) - IN_NO_BUNDLE


def test_a_result_has_one_main_document_and_main_documents_supersede() -> None:
    assert MAIN_DOCUMENTS == (ResultKind.REPORT, ResultKind.NOTICE)
    assert set(MAIN_DOCUMENTS) < set(SUPERSEDING)


def test_every_superseding_kind_and_no_other_is_a_document() -> None:
    documents = {kind for kind, form in FORMS if iod.has_content_tree(form.sop_class)}
    assert set(SUPERSEDING) == documents - {ResultKind.REJECTION_NOTE}


def test_a_fallback_is_another_form_of_the_kind_without_a_fallback() -> None:
    for kind, form in FORMS:
        if form.fallback is not None:
            (plainer,) = (
                other for other in RESULT_KINDS[kind].forms if other.sop_class == form.fallback
            )
            assert plainer.sop_class != form.sop_class
            assert plainer.fallback is None
            assert plainer.name


def test_settings_of_forms_name_fields_of_the_products() -> None:
    of_notices = {"not_analysed", "rejection_notes"}  # made without an analysis or by destination
    keys = {form.setting.partition(" = ")[0] for _, form in FORMS if form.setting}
    assert keys - of_notices <= {field.name for field in fields(Products)}
