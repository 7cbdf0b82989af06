"""The heatmap: on the right place, with the legend below, holding no identity."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage

from pipeline.decision import without_lesions
from pipeline.encode.bundle import part10
from pipeline.encode.heatmap import paint
from pipeline.encode.heatmap.sop_instances import heatmap, strength
from pipeline.encode.result.products import HeatmapForm, Products
from pipeline.types import CtSeries
from tests.support.samples.encode_samples import (
    POSITIONS,
    SeriesSpec,
    analysis,
    context,
    ct_series,
    enhanced_series,
    read_back,
)


def written(series: CtSeries, **changes: object) -> list[Dataset]:
    found = analysis(series.volume.shape)
    captures = heatmap(series, found, context(**changes))
    return [dcmread(BytesIO(part10(item))) for item in captures]


def place(dataset: Dataset, row: float, column: float) -> NDArray[np.float64]:
    """Where a pixel lies, LPS mm (PS3.3 C.7.6.2.1.1)."""
    orientation = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
    spacing = np.array(dataset.PixelSpacing, float)
    step = orientation[0] * spacing[1] * column + orientation[1] * spacing[0] * row
    return np.array(dataset.ImagePositionPatient, float) + step


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("columns", [24, 12, 10])
def test_pixels_lie_where_the_voxels_lie(position: str, columns: int) -> None:
    series = ct_series(SeriesSpec(position=position))
    factor = -(-24 // columns)
    middle = (factor - 1) / 2
    for index, capture in enumerate(written(series, products=Products(heatmap_columns=columns))):
        voxel = series.volume.affine @ (index, 2 * factor + middle, 3 * factor + middle, 1)
        np.testing.assert_allclose(place(capture, 2, 3), voxel[:3], atol=1e-6)
        assert capture.FrameOfReferenceUID == "1.2.3.4.5.6"


def test_there_is_one_capture_for_each_source_slice_and_none_for_new_ones() -> None:
    series = ct_series(SeriesSpec(missing=(3,)))
    captures = written(series)
    sources = [c.SourceImageSequence[0].ReferencedSOPInstanceUID for c in captures]
    assert sources == [header.SOPInstanceUID for header in series.headers]
    assert len({c.SOPInstanceUID for c in captures}) == 5
    assert len({c.SeriesInstanceUID for c in captures}) == 1


def test_captures_scroll_like_the_source() -> None:
    captures = written(ct_series(SeriesSpec(source_reversed=True)))
    assert [int(c.InstanceNumber) for c in captures] == [6, 5, 4, 3, 2, 1]


def test_captures_are_numbered_by_position_where_the_source_is_not() -> None:
    series = ct_series()
    for header, number in zip(series.headers, (3, 1, 2, 6, 5, 4), strict=True):
        header.InstanceNumber = number
    assert [int(c.InstanceNumber) for c in written(series)] == [1, 2, 3, 4, 5, 6]


def test_captures_of_a_multi_frame_source_name_their_frame() -> None:
    captures = written(enhanced_series())
    frames = [c.SourceImageSequence[0].ReferencedFrameNumber for c in captures]
    assert frames == [6, 5, 4, 3, 2, 1]
    assert [int(c.InstanceNumber) for c in captures] == [1, 2, 3, 4, 5, 6]


def test_the_picture_shows_ct_activation_and_outline() -> None:
    series = ct_series()
    shape = series.volume.shape
    hu = np.full(shape, -600, np.int16)
    activation = np.zeros(shape, np.uint8)
    activation[:, :, 12:] = 255
    found = replace(analysis(shape), activation=activation)
    series = replace(series, volume=replace(series.volume, hu=hu))
    capture = heatmap(series, found, context())[2]
    pixels = np.frombuffer(capture.PixelData, np.uint8)[: capture.Rows * capture.Columns * 3]
    picture = pixels.reshape(capture.Rows, capture.Columns, 3)
    assert tuple(picture[0, 0]) == (128, 128, 128)
    hottest = 0.4 * 127.5 + 0.6 * np.array(paint.INFERNO[-1])
    np.testing.assert_allclose(picture[0, 20], hottest, atol=1)
    outlined = np.all(picture[:16, :24] == paint.OUTLINE, axis=-1)
    labels = found.lesion_labels[2]
    assert outlined[labels > 0].any()
    assert not outlined[labels == 0].any()


@pytest.mark.parametrize("series", [ct_series(SeriesSpec(source_reversed=True)), enhanced_series()])
@pytest.mark.parametrize("form", [HeatmapForm.SINGLE_FRAME, HeatmapForm.MULTI_FRAME])
def test_every_pixel_shows_its_own_voxel(series: CtSeries, form: HeatmapForm) -> None:
    shape = series.volume.shape
    found = analysis(shape, lesion_labels=np.zeros(shape, np.uint8), lesions=())
    made = heatmap(series, found, context(products=Products(heatmap=form)))
    shown = np.concatenate(
        [read_back(item).pixel_array.reshape(-1, *frame_shape(item)) for item in made]
    )
    grey = np.clip((series.volume.hu + 1350.0) * (255 / 1500), 0, 255)[..., None]
    opacity = 0.6 * found.activation[..., None] / 255
    stops = np.linspace(0, 255, len(paint.INFERNO))
    tint = [np.interp(found.activation, stops, channel) for channel in np.transpose(paint.INFERNO)]
    expected = grey * (1 - opacity) + np.stack(tint, axis=-1) * opacity
    np.testing.assert_allclose(shown[:, : shape[1], : shape[2]].astype(float), expected, atol=1.5)


def painted(score: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Grey lung under full activation and the legend's bar, of a series with this score."""
    series = ct_series()
    shape = series.volume.shape
    series = replace(
        series, volume=replace(series.volume, hu=np.full(shape, paint.LEGEND_HU, np.int16))
    )
    hot = replace(analysis(shape, score=score), activation=np.full(shape, 255, np.uint8))
    capture = heatmap(series, without_lesions(hot), context())[0]
    pixels = np.frombuffer(capture.PixelData, np.uint8)[: capture.Rows * capture.Columns * 3]
    picture = pixels.reshape(capture.Rows, capture.Columns, 3)
    legend = picture[-paint.LINE_HEIGHT - paint.MARGIN :].reshape(-1, 3)
    return picture[0, 0], legend


def test_a_negative_series_has_no_hot_colours() -> None:
    """Orange and yellow have more green than blue; what comes before them on the map has less."""
    hottest = {score: painted(score)[0].astype(int) for score in SCORES}
    assert hottest[0.51][1] - hottest[0.51][2] > 30
    assert all(hottest[score][1] <= hottest[score][2] for score in (0.0, 0.1, 0.5))
    assert (hottest[0.51] == hottest[0.99]).all()


SCORES = (0.0, 0.1, 0.5, 0.51, 0.99)


@pytest.mark.parametrize("score", SCORES)
def test_the_legend_has_the_colours_of_the_picture(score: float) -> None:
    hottest, legend = painted(score)
    assert (legend == hottest).all(axis=-1).any()


def test_the_legend_has_no_outline_where_opacities_are_not_reported() -> None:
    _, told = painted(0.9)
    assert not (told == paint.OUTLINE).all(axis=-1).any()
    reported = written(ct_series())[0].pixel_array[16:]
    assert (reported == paint.OUTLINE).all(axis=-1).any()


def test_strength_falls_with_the_score_below_the_threshold() -> None:
    found = analysis().classification
    factors = [strength(replace(found, score=score)) for score in (0.9, 0.5, 0.25, 0.0)]
    assert factors == [1.0, 0.5, 0.25, 0.0]
    assert strength(replace(found, score=0.0, threshold=0.0)) == 0.0


def test_numbers_stand_beside_their_opacities() -> None:
    labels = np.zeros((60, 80), np.uint8)
    labels[30:40, 10:30], labels[30:40, 70:79], labels[5:9, 5:9] = 1, 2, 21
    picture = np.full((60, 80, 3), 90, np.uint8)
    paint.draw_numbers(picture, labels, 20)
    _, columns = np.nonzero(picture[..., 0] > 180)
    assert ((columns > 30) & (columns < 42)).any()  # right of the first
    assert (columns > 70).any()  # inside the picture, though the second reaches its edge
    assert (picture[:20] == 90).all()  # the 21st is one of many: it has no number
    untouched = picture.copy()
    paint.draw_numbers(untouched, np.zeros_like(labels), 20)
    np.testing.assert_array_equal(untouched, picture)


def test_the_footer_names_the_source_and_says_that_colours_are_relative() -> None:
    one, other = (written(ct_series(SeriesNumber=number))[0].pixel_array for number in (4, 5))
    assert (one[:16] == other[:16]).all()
    assert (one[16:] != other[16:]).any()
    assert "relative within the series" in written(ct_series())[0].DerivationDescription


def captions(series: CtSeries, form: HeatmapForm) -> list[NDArray[np.uint8]]:
    """The line right below the picture, frame by frame."""
    made = written(series, products=Products(heatmap=form))
    frames = [
        frame
        for capture in made
        for frame in capture.pixel_array.reshape(-1, *frame_shape(capture))
    ]
    return [frame[16 : 16 + paint.LINE_HEIGHT + paint.MARGIN] for frame in frames]


def frame_shape(capture: Dataset) -> tuple[int, int, int]:
    return int(capture.Rows), int(capture.Columns), 3


@pytest.mark.parametrize("form", [HeatmapForm.SINGLE_FRAME, HeatmapForm.MULTI_FRAME])
def test_each_frame_names_its_ct_image(form: HeatmapForm) -> None:
    series = ct_series(SeriesSpec(source_reversed=True))
    del series.headers[1].InstanceNumber
    shown = captions(series, form)
    expected = ["CT image 6", "", "CT image 4", "CT image 3", "CT image 2", "CT image 1"]
    for line, words in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(line, paint.caption(words, paint.MIN_WIDTH))
    assert not shown[1].any()


def test_frames_of_a_multi_frame_source_name_its_frames() -> None:
    shown = captions(enhanced_series(), HeatmapForm.MULTI_FRAME)
    expected = paint.caption("CT image 1, frame 6", paint.MIN_WIDTH)
    np.testing.assert_array_equal(shown[0], expected)


def test_the_footer_covers_nothing() -> None:
    series = ct_series(SeriesSpec(shape=(3, 40, 300)))
    capture = written(series, products=Products(heatmap_columns=512))[0]
    assert capture.Columns == 300
    assert capture.Rows > 40
    narrow = written(ct_series())[0]
    assert narrow.Columns == paint.MIN_WIDTH


def test_text_wraps_inside_the_picture() -> None:
    short = paint.footer(["AI"], 256)
    long = paint.footer(["AI " * 60], 256)
    assert long.shape[0] > short.shape[0]
    assert long.shape[1] == short.shape[1] == 256
    assert not long[:, -2:].any()


def test_attributes_say_what_it_is() -> None:
    capture = written(ct_series())[0]
    assert list(capture.ImageType) == ["DERIVED", "SECONDARY", "HEATMAP"]
    assert capture.ConversionType == "WSD"
    assert capture.BurnedInAnnotation == "NO"
    assert capture.LossyImageCompression == "00"
    assert capture.PhotometricInterpretation == "RGB"
    assert list(capture.PatientOrientation) == ["L", "P"]
    assert capture.ContentQualification == "RESEARCH"
    assert capture.pixel_array.shape == (capture.Rows, capture.Columns, 3)


def test_the_map_rises_in_lightness() -> None:
    table = paint.colour_map() @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(table) > 0).all()


def test_reduction_keeps_means_and_labels() -> None:
    plane = np.arange(30, dtype=np.int16).reshape(5, 6)
    np.testing.assert_allclose(paint.reduced(plane, 2)[0, 0], np.mean([0, 1, 6, 7]))
    assert paint.reduced(plane, 2).shape == (3, 3)
    np.testing.assert_allclose(paint.reduced(plane, 2)[2, 0], np.mean([24, 25]))
    labels = np.zeros((5, 6), np.uint8)
    labels[4, 5] = 3
    assert paint.reduced_labels(labels, 4).tolist() == [[0, 0], [0, 3]]


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("columns", [24, 12])
def test_a_multi_frame_heatmap_holds_the_same_pictures_at_the_same_places(
    position: str, columns: int
) -> None:
    series = ct_series(SeriesSpec(position=position, missing=(3,)))
    singles = written(series, products=Products(heatmap_columns=columns))
    products = Products(heatmap=HeatmapForm.MULTI_FRAME, heatmap_columns=columns)
    (multiple,) = written(series, products=products)
    assert multiple.SOPClassUID == MultiFrameTrueColorSecondaryCaptureImageStorage
    assert multiple.NumberOfFrames == len(singles) == 5
    np.testing.assert_array_equal(multiple.pixel_array, [single.pixel_array for single in singles])
    (shared,) = multiple.SharedFunctionalGroupsSequence
    spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    for single, groups in zip(singles, multiple.PerFrameFunctionalGroupsSequence, strict=True):
        placed = groups.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(
            np.array(placed, float), np.array(single.ImagePositionPatient, float), atol=1e-6
        )
        (origin,) = groups.DerivationImageSequence[0].SourceImageSequence
        (expected,) = single.SourceImageSequence
        assert origin.ReferencedSOPInstanceUID == expected.ReferencedSOPInstanceUID
        np.testing.assert_allclose(
            np.array(orientation, float), np.array(single.ImageOrientationPatient, float), atol=1e-6
        )
        np.testing.assert_allclose(np.array(spacing, float), np.array(single.PixelSpacing, float))


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dicom3tools is not installed")
@pytest.mark.parametrize("columns", [24, 12])
def test_dciodvfy_finds_no_error_in_a_multi_frame_heatmap(tmp_path: Path, columns: int) -> None:
    products = Products(heatmap=HeatmapForm.MULTI_FRAME, heatmap_columns=columns)
    (multiple,) = heatmap(ct_series(), analysis(), context(products=products))
    path = tmp_path / "heatmap.dcm"
    path.write_bytes(part10(multiple))
    done = subprocess.run(
        ["dciodvfy", "-new", str(path)], check=False, capture_output=True, text=True
    )
    assert "MultiframeTrueColorSCImage" in done.stderr + done.stdout
    assert "Error" not in done.stderr + done.stdout
