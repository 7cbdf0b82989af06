"""Key images: the slices a reader should see first, named so that every viewer finds them."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from pipeline.encode.source import source_slices
from pipeline.encode.sr.key_images import (
    MAX_KEY_IMAGES,
    MIN_APART_MM,
    key_images,
    most_affected,
)
from pipeline.types import Analysis, CtSeries
from tests.support.samples.encode_samples import (
    SeriesSpec,
    analysis,
    context,
    ct_series,
    enhanced_series,
    lesion,
    read_back,
)

TALL = SeriesSpec(shape=(60, 16, 24))


def opacities(extents: dict[int, tuple[int, int, int]], shape: tuple[int, int, int]) -> Analysis:
    """Opacities that are widest in the middle: number to first, widest and last slice."""
    lungs, labels = np.ones(shape, np.uint8), np.zeros(shape, np.uint8)
    for number, (first, widest, last) in extents.items():
        labels[first : last + 1, number, 2:6] = number
        labels[widest, number, 2:20] = number
    lesions = tuple(lesion(number, key_slice=extent[1]) for number, extent in extents.items())
    return analysis(shape, lungs=lungs, lesion_labels=labels, lesions=lesions)


def places(series: CtSeries, found: Analysis) -> list[int]:
    return [item.index for item in most_affected(series, found, source_slices.real_slices(series))]


def referenced(document: Dataset) -> list[Dataset]:
    return [
        item.ReferencedSOPSequence[0]
        for item in document.ContentSequence
        if item.ValueType == "IMAGE"
    ]


def test_each_opacity_is_shown_where_it_is_largest() -> None:
    found = opacities({1: (20, 30, 40), 2: (2, 5, 8), 3: (50, 52, 55)}, TALL.shape)
    assert places(ct_series(TALL), found) == [30, 5, 52]


def test_no_two_key_images_are_neighbours() -> None:
    found = opacities({1: (20, 30, 40), 2: (20, 32, 40), 3: (20, 34, 40)}, TALL.shape)
    chosen = places(ct_series(TALL), found)
    assert chosen == [30, 34]
    assert 4 * TALL.spacing_mm[0] >= MIN_APART_MM > 2 * TALL.spacing_mm[0]


def test_a_large_opacity_alone_is_shown_more_than_once() -> None:
    found = opacities({1: (10, 30, 50)}, TALL.shape)
    labels = found.lesion_labels.copy()
    labels[40, 1, 2:19] = 1
    labels[20, 1, 2:10] = 1
    grown = analysis(TALL.shape, lesion_labels=labels, lesions=found.lesions)
    assert places(ct_series(TALL), grown) == [30, 40]


def test_they_stay_few() -> None:
    found = opacities({n: (6 * n, 6 * n + 1, 6 * n + 2) for n in range(1, 9)}, TALL.shape)
    assert places(ct_series(TALL), found) == [6 * n + 1 for n in range(1, MAX_KEY_IMAGES + 1)]


def test_an_interpolated_slice_is_never_a_key_image() -> None:
    series = ct_series(SeriesSpec(shape=TALL.shape, missing=(30,)))
    (place,) = places(series, opacities({1: (28, 30, 32)}, TALL.shape))
    assert place in {29, 31}


def test_without_opacities_there_is_no_document() -> None:
    shape = SeriesSpec().shape
    found = analysis(shape, lesion_labels=np.zeros(shape, np.uint8), lesions=())
    assert key_images(ct_series(), found, context()) is None


def test_the_document_lists_what_it_shows_as_evidence() -> None:
    series = ct_series(TALL)
    found = opacities({1: (20, 30, 40), 2: (2, 5, 8)}, TALL.shape)
    made = key_images(series, found, context())
    assert made is not None
    document = read_back(made)
    wanted = [series.headers[place].SOPInstanceUID for place in (30, 5)]
    assert [item.ReferencedSOPInstanceUID for item in referenced(document)] == wanted
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == series.headers[0].StudyInstanceUID
    (listed,) = study.ReferencedSeriesSequence
    assert listed.SeriesInstanceUID == series.headers[0].SeriesInstanceUID
    assert {item.ReferencedSOPInstanceUID for item in listed.ReferencedSOPSequence} == set(wanted)
    assert document.ConceptNameCodeSequence[0].CodeValue == "113000"
    assert document.Modality == "KO"


def test_frames_of_a_multi_frame_source_are_named_by_number() -> None:
    made = key_images(enhanced_series(TALL), opacities({1: (28, 30, 32)}, TALL.shape), context())
    assert made is not None
    (image,) = referenced(read_back(made))
    assert image.ReferencedFrameNumber == 30


@pytest.mark.parametrize(("generation", "replaces"), [(1, False), (2, True)])
def test_a_superseding_document_says_so(generation: int, *, replaces: bool) -> None:
    found = opacities({1: (20, 30, 40)}, TALL.shape)
    made = key_images(ct_series(TALL), found, context(generation=generation))
    assert made is not None
    said = [item.TextValue for item in made.ContentSequence if item.ValueType == "TEXT"]
    assert (
        said[-1].endswith("Revision 2: this replaces earlier key images of the series.") == replaces
    )
