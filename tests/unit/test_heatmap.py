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

from pipeline.encode import paint
from pipeline.encode.bundle import part10
from pipeline.encode.heatmap import heatmap
from pipeline.encode.products import HeatmapForm, Products
from pipeline.types import CtSeries
from tests.unit.encode_samples import (
    POSITIONS,
    SeriesSpec,
    analysis,
    context,
    ct_series,
    enhanced_series,
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
    np.testing.assert_array_equal(multiple.pixel_array, [each.pixel_array for each in singles])
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
