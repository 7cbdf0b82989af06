"""The parametric map, read back by highdicom, has the activation at its place."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest

from pipeline.encode.heatmap.parametric_map import parametric_map
from pipeline.encode.result.products import Products
from pipeline.types import Analysis, CtSeries
from tests.support.samples.encode_samples import (
    POSITIONS,
    SeriesSpec,
    analysis,
    context,
    ct_series,
    enhanced_series,
    read_back,
)

SMALL_HEATMAP = Products(parametric_map=True, heatmap_columns=12)


def encoded(series: CtSeries, found: Analysis) -> hd.pm.ParametricMap:
    made = parametric_map(series, found, context(products=SMALL_HEATMAP))
    return hd.pm.ParametricMap.from_dataset(read_back(made))


@pytest.mark.parametrize("position", POSITIONS)
def test_the_activation_comes_back_in_place(position: str) -> None:
    series, found = ct_series(SeriesSpec(position=position)), analysis()
    volume = encoded(series, found).get_volume(apply_real_world_transform=True)
    whole = hd.Volume(found.activation / 255, series.volume.affine, "PATIENT")
    turned = volume.match_geometry(whole)
    np.testing.assert_allclose(turned.array, found.activation / 255, rtol=0, atol=1e-7)


def test_frames_run_from_feet_to_head_whatever_the_source() -> None:
    for series in (ct_series(SeriesSpec(source_reversed=True)), enhanced_series()):
        frames = encoded(series, analysis()).PerFrameFunctionalGroupsSequence
        heights = [frame.PlanePositionSequence[0].ImagePositionPatient[2] for frame in frames]
        assert heights == sorted(heights)


def test_an_interpolated_slice_gets_no_frame() -> None:
    pmap = encoded(ct_series(SeriesSpec(missing=(3,))), analysis())
    expected = np.delete(analysis().activation, 3, axis=0) / np.float32(255)
    np.testing.assert_array_equal(pmap.pixel_array, expected)


def test_it_lies_on_the_pixels_of_its_source() -> None:
    for frame in encoded(ct_series(), analysis()).PerFrameFunctionalGroupsSequence:
        image = frame.DerivationImageSequence[0].SourceImageSequence[0]
        assert image.SpatialLocationsPreserved == "YES"


def test_it_says_what_it_is() -> None:
    pmap = encoded(ct_series(), analysis())
    mapping = pmap.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    quantity = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    assert quantity.CodingSchemeDesignator == "99DICOMNODE"
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert pmap.ContentQualification == "RESEARCH"
    assert pmap.FrameOfReferenceUID == "1.2.3.4.5.6"


@pytest.mark.parametrize("position", POSITIONS)
def test_a_reduced_map_has_means_at_their_places(position: str) -> None:
    series, found = ct_series(SeriesSpec(position=position)), analysis()
    products = Products(parametric_map=True, parametric_map_columns=6, heatmap_step_mm=5)
    made = read_back(parametric_map(series, found, context(products=products)))
    assert (made.Rows, made.Columns, made.NumberOfFrames) == (4, 6, 3)  # slices 1, 3 and 5
    shared = made.SharedFunctionalGroupsSequence[0]
    assert float(shared.PixelMeasuresSequence[0].SpacingBetweenSlices) == 5.0
    for index, frame in zip((1, 3, 5), made.PerFrameFunctionalGroupsSequence, strict=True):
        placed = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        np.testing.assert_allclose(placed, (series.volume.affine @ (index, 1.5, 1.5, 1))[:3])
    expected = found.activation[1, :4, :4].mean() / 255
    np.testing.assert_allclose(made.pixel_array[0, 0, 0], expected, rtol=1e-6)


def test_it_says_that_both_lungs_are_shown() -> None:
    shared = encoded(ct_series(), analysis()).SharedFunctionalGroupsSequence[0]
    (anatomy,) = shared.FrameAnatomySequence
    assert anatomy.FrameLaterality == "B"
    assert anatomy.AnatomicRegionSequence[0].CodeValue == "39607008"
