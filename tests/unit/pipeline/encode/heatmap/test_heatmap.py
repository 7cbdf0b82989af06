"""The heatmap: on the right place, as large as the CT, holding no identity."""

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
from pipeline.encode.common import sentences
from pipeline.encode.heatmap import paint
from pipeline.encode.heatmap.shown_slices import shown_slices
from pipeline.encode.heatmap.sop_instances import heatmap, image_label, strength
from pipeline.encode.language.languages import Language
from pipeline.encode.language.translation import _, writing_in
from pipeline.encode.result.products import HeatmapForm, Products
from pipeline.encode.source.source_slices import real_slices
from pipeline.types import CtSeries, Unreported
from tests.support.samples.encode_samples import (
    POSITIONS,
    SeriesSpec,
    analysis,
    context,
    ct_series,
    enhanced_series,
    lesion,
    read_back,
)

EVERY_SLICE = Products(heatmap_step_mm=0)


def written(series: CtSeries, **changes: object) -> list[Dataset]:
    found = analysis(series.volume.shape, lungs=np.ones(series.volume.shape, np.uint8))
    changes = {"products": EVERY_SLICE, **changes}
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
    for index, capture in enumerate(
        written(series, products=replace(EVERY_SLICE, heatmap_columns=columns))
    ):
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
    capture = heatmap(series, found, context(products=EVERY_SLICE))[1]
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
    lungs, none = np.ones(shape, np.uint8), np.zeros(shape, np.uint8)
    found = analysis(shape, lungs=lungs, lesion_labels=none, lesions=())
    made = heatmap(series, found, context(products=replace(EVERY_SLICE, heatmap=form)))
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
    """Grey lung under full activation and the lowest line, of a series with this score."""
    shape = (3, 200, 300)
    series = ct_series(SeriesSpec(shape=shape))
    series = replace(
        series, volume=replace(series.volume, hu=np.full(shape, paint.LEGEND_HU, np.int16))
    )
    activation = np.zeros(shape, np.uint8)
    activation[:, :20] = 255
    hot = replace(analysis(shape, score=score), activation=activation)
    products = Products(heatmap_columns=512)
    picture = heatmap(series, without_lesions(hot), context(products=products))[0]
    pixels = read_back(picture).pixel_array
    return pixels[0, 0], pixels[-(max(paint.TEXT_SIZES.values()) + paint.LEADING) :].reshape(-1, 3)


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


def test_the_comments_name_the_source_and_say_that_colours_are_relative() -> None:
    one, other = (str(written(ct_series(SeriesNumber=n))[0].ImageComments) for n in (4, 5))
    assert one != other
    assert one.startswith("Research use only")
    assert "relative within this series" in one
    assert "relative within the series" in written(ct_series())[0].DerivationDescription


NUMBERED_LOWEST = 0  #: one image has no number, so those of the heatmap count from the feet


@pytest.mark.parametrize("numbers_fall", [False, True])
def test_the_picture_that_is_opened_first_explains_the_others(numbers_fall: bool) -> None:
    shape = (6, 200, 300)
    series = ct_series(SeriesSpec(source_reversed=numbers_fall, shape=shape))
    series = replace(series, volume=replace(series.volume, hu=np.full(shape, -600, np.int16)))
    found = without_lesions(analysis(shape, lungs=np.ones(shape, np.uint8)))
    found = replace(found, activation=np.zeros(shape, np.uint8))
    made = heatmap(series, found, context(products=replace(EVERY_SLICE, heatmap_columns=512)))
    words = {}
    for item in made:
        pixels = read_back(item).pixel_array
        written_on = np.flatnonzero((pixels == 255).all(axis=-1).any(axis=1))
        words[int(item.InstanceNumber)] = len(written_on)
    assert words.pop(1) > 1.5 * max(words.values())
    assert min(words.values()) > 0


def frame_shape(capture: Dataset) -> tuple[int, int, int]:
    return int(capture.Rows), int(capture.Columns), 3


@pytest.mark.parametrize("form", [HeatmapForm.SINGLE_FRAME, HeatmapForm.MULTI_FRAME])
def test_each_frame_names_its_ct_image(form: HeatmapForm) -> None:
    shape = (6, 200, 300)
    series = ct_series(SeriesSpec(source_reversed=True, shape=shape))
    series = replace(series, volume=replace(series.volume, hu=np.full(shape, -600, np.int16)))
    del series.headers[1].InstanceNumber
    products = replace(EVERY_SLICE, heatmap=form, heatmap_columns=512)
    found = replace(
        analysis(shape, lungs=np.ones(shape, np.uint8)), activation=np.zeros(shape, np.uint8)
    )
    made = heatmap(series, without_lesions(found), context(products=products))
    frames = [f for item in made for f in read_back(item).pixel_array.reshape(-1, *shape[1:], 3)]
    expected = ["CT image 6", "", "CT image 4", "CT image 3", "CT image 2", "CT image 1"]
    first = 0 if form is HeatmapForm.MULTI_FRAME else NUMBERED_LOWEST
    for number, (frame, label) in enumerate(zip(frames, expected, strict=True)):
        picture = np.full_like(frame, frame[0, 0, 0])
        if number == first:
            paint.draw_legend(picture, label, paint.Legend(lines=(sentences.UNREPORTED,)))
        else:
            paint.draw_caption(picture, label, "")
        np.testing.assert_array_equal(frame, picture)
    assert len({frame.tobytes() for frame in frames}) == len(frames)


def test_frames_of_a_multi_frame_source_name_its_frames() -> None:
    item = real_slices(enhanced_series())[0]
    assert image_label(item) == "CT image 1, frame 6"


@pytest.mark.parametrize("size", [16, 60, 120, 170, 256, 512])
def test_the_legend_covers_the_lower_third_at_most(size: int) -> None:
    picture = np.full((size, size, 3), 90, np.uint8)
    lines = ("score not above threshold: colours muted", sentences.UNREPORTED)
    paint.draw_legend(picture, "CT image 123, frame 123", paint.Legend(lines=lines))
    touched = np.flatnonzero((picture != 90).any(axis=(1, 2)))
    assert (picture[: 2 * size // 3] == 90).all()
    assert touched.size > 0 or size < 120


def test_a_heatmap_is_as_large_as_the_ct() -> None:
    capture = written(ct_series(SeriesSpec(shape=(3, 40, 50))))[0]
    assert (capture.Rows, capture.Columns) == (40, 50)


def test_air_outside_the_lungs_is_even_and_nothing_else_changes() -> None:
    hu = np.array([[-980, -1020, -860, -840, 40]], np.float32)
    outside = paint.with_even_air(hu, np.zeros(hu.shape, np.bool_))
    assert outside.tolist() == [[-1000, -1000, -1000, -840, 40]]
    np.testing.assert_array_equal(paint.with_even_air(hu, np.ones(hu.shape, np.bool_)), hu)


def chosen(step_mm: float, **changes: object) -> list[int]:
    series = ct_series(SeriesSpec(shape=(12, 16, 24), spacing_mm=(2.0, 0.7, 0.9)))
    found = analysis(series.volume.shape, **changes)  # type: ignore[arg-type]  # checked at run time
    return [item.index for item in shown_slices(series, found, step_mm)]


def test_slices_with_lung_are_shown_a_step_apart() -> None:
    """The lungs begin at slice 1; the opacities lie on slices 1 to 3."""
    assert chosen(0) == list(range(1, 12))
    assert chosen(2) == list(range(1, 12))
    assert chosen(4, lesions=()) == [1, 3, 5, 7, 9, 11]
    assert chosen(5, lesions=()) == [1, 4, 7, 10]
    assert chosen(4, lesions=(), lungs=np.zeros((12, 16, 24), np.uint8))[:2] == [0, 2]


def test_slices_that_page_and_report_name_are_shown() -> None:
    labels = np.zeros((12, 16, 24), np.uint8)
    labels[4, 5:9, 5:9], labels[7:10, 5:9, 5:9] = 1, 2
    lesions = (lesion(1, key_slice=4), lesion(2, key_slice=8))
    assert chosen(8, lesion_labels=labels, lesions=lesions) == [1, 4, 8]
    series = ct_series(SeriesSpec(shape=(12, 16, 24), spacing_mm=(2.0, 0.7, 0.9)))
    changed = replace(
        without_lesions(analysis(series.volume.shape)),
        unreported=Unreported(share=0.1, largest_ml=5.0, voxel=(7, 5, 5)),
    )
    assert 7 in [item.index for item in shown_slices(series, changed, 100)]


def test_a_picture_with_a_caveat_keeps_the_number_of_its_image() -> None:
    """Taken out of its series, it would be of no image."""
    drawn = []
    for label in ("CT image 123", ""):
        picture = np.full((384, 384, 3), 90, np.uint8)
        with writing_in(Language.GERMAN):
            paint.draw_caption(picture, label, 2 * _(sentences.CHANGES_SHORT))
        drawn.append(picture)
    assert (drawn[0] != drawn[1]).any()


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
    singles = written(series, products=replace(EVERY_SLICE, heatmap_columns=columns))
    products = replace(EVERY_SLICE, heatmap=HeatmapForm.MULTI_FRAME, heatmap_columns=columns)
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


@pytest.mark.parametrize("columns", [128, 192, 256, 512])
def test_the_colours_of_the_legend_lie_whole_within_the_picture(columns: int) -> None:
    """A coarse picture has small letters: its legend covers no lung, and ends before its edge."""
    picture = np.full((columns, columns, 3), 90, np.uint8)
    paint.draw_legend(picture, "image 136", paint.Legend())
    drawn = np.argwhere((picture != 90).any(axis=-1))
    assert drawn[:, 0].min() > 0.7 * columns
    assert drawn[:, 1].max() < columns - 1
    assert (
        (picture == paint.overlay(np.full((1, 1), -850, np.float32), np.full((1, 1), 255.0)))
        .all(axis=-1)
        .any()
    )


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("columns", [128, 256])
def test_changes_that_are_not_outlined_are_said_on_every_picture(
    language: Language, columns: int
) -> None:
    """Also where a picture is coarse, and the words of a language are long."""
    too_long = "x" * columns  # is left out
    drawn = []
    for line in (sentences.CHANGES_SHORT, too_long):
        picture = np.full((columns, columns, 3), 90, np.uint8)
        with writing_in(language):
            paint.draw_legend(picture, "CT image 123", paint.Legend(lines=(_(line),)))
        drawn.append(picture)
    assert (drawn[0] != drawn[1]).any()
    for caveat in (_(sentences.CHANGES_SHORT), ""):
        picture = np.full((columns, columns, 3), 90, np.uint8)
        with writing_in(language):
            paint.draw_caption(picture, "CT image 123", caveat and _(sentences.CHANGES_SHORT))
        drawn.append(picture)
    heights = [np.flatnonzero((picture != 90).any(axis=(1, 2))) for picture in drawn[2:]]
    assert (drawn[2] != drawn[3]).any()
    assert len(heights[1]) <= 2 * (max(paint.TEXT_SIZES.values()) + paint.LEADING)


def test_a_heatmap_says_of_withheld_changes_that_they_are_present() -> None:
    shape = (3, 200, 300)
    found = without_lesions(analysis(shape, score=0.1))
    withheld = replace(found, unreported=Unreported(share=0.02, largest_ml=9.0, voxel=(1, 0, 0)))
    series = ct_series(SeriesSpec(shape=shape))
    comments, frames = [], []
    for one in (found, withheld):
        picture = heatmap(series, one, context(products=Products(heatmap_columns=512)))[0]
        comments.append(str(picture.ImageComments))
        frames.append(read_back(picture).pixel_array)
    assert (frames[0] != frames[1]).any()
    assert "opacities: not reported" in comments[0]
    assert "changes present" in comments[1].lower()
