"""The segmentation, read back by highdicom, lies where the masks lie."""

from __future__ import annotations

from io import BytesIO

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from pipeline.encode.bundle import part10
from pipeline.encode.common.segments import MAX_LESION_SEGMENTS
from pipeline.encode.result.products import Products, SegmentationForm
from pipeline.encode.seg.segmentation import segmentation
from pipeline.errors import PipelineError
from pipeline.types import Analysis, CtSeries, Side
from tests.support.samples.encode_samples import (
    POSITIONS,
    SeriesSpec,
    analysis,
    context,
    ct_series,
    enhanced_series,
    lesion,
    masks,
)

DEFAULT = Products()


def encoded(series: CtSeries, found: Analysis, products: Products = DEFAULT) -> hd.seg.Segmentation:
    made = segmentation(series, found, context(products=products))
    return hd.seg.segread(BytesIO(part10(made)))


def in_place(seg: hd.seg.Segmentation, number: int, series: CtSeries) -> NDArray[np.bool_]:
    """Voxels of the series where the segment lies in space."""
    volume = seg.get_volume(segment_numbers=[number], allow_missing_positions=True)
    inside = np.argwhere(volume.array.reshape(volume.array.shape[:3]) > 0)
    points = inside @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    affine = series.volume.affine
    index = (points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    assert np.allclose(index, np.rint(index), atol=1e-3)
    result = np.zeros(series.volume.shape, dtype=np.bool_)
    result[tuple(np.rint(index).astype(int).T)] = True
    return result


def expected(found: Analysis, series: CtSeries) -> dict[int, NDArray[np.bool_]]:
    """The four segments of the sample masks, on the slices that have a source."""
    real = np.array([frame is not None for frame in series.volume.source])[:, None, None]
    return {
        1: (found.lungs.labels == 1) & real,
        2: (found.lungs.labels == 2) & real,
        3: (found.lesion_labels == 1) & real,
        4: (found.lesion_labels == 2) & real,
    }


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("reverse", [False, True])
def test_masks_come_back_in_place(position: str, reverse: bool) -> None:
    spec = SeriesSpec(position=position, source_reversed=reverse)
    series, found = ct_series(spec), analysis(spec.shape)
    seg = encoded(series, found)
    for number, mask in expected(found, series).items():
        assert mask.any()
        np.testing.assert_array_equal(in_place(seg, number, series), mask)


@pytest.mark.parametrize("shape", [(6, 13, 11), (5, 17, 15)])
def test_frames_that_do_not_fill_bytes_come_back(shape: tuple[int, int, int]) -> None:
    spec = SeriesSpec(shape=shape)
    series = ct_series(spec)
    lungs = np.zeros(shape, np.uint8)
    lungs[1:4, 2:9, 1:8] = 1
    lungs[2, 5, 9] = 2
    found = analysis(shape, lungs=lungs, lesion_labels=np.zeros(shape, np.uint8), lesions=())
    seg = encoded(series, found)
    np.testing.assert_array_equal(in_place(seg, 1, series), lungs == 1)
    np.testing.assert_array_equal(in_place(seg, 2, series), lungs == 2)


def test_an_interpolated_slice_gets_no_frame() -> None:
    spec = SeriesSpec(missing=(3,))
    series, found = ct_series(spec), analysis(spec.shape)
    seg = encoded(series, found)
    for number, mask in expected(found, series).items():
        assert not mask[3].any()
        np.testing.assert_array_equal(in_place(seg, number, series), mask)
    known = {str(header.SOPInstanceUID) for header in series.headers}
    for groups in seg.PerFrameFunctionalGroupsSequence:
        image = groups.DerivationImageSequence[0].SourceImageSequence[0]
        assert image.ReferencedSOPInstanceUID in known


def test_every_frame_names_the_image_at_its_position() -> None:
    spec = SeriesSpec(position="FFS")
    series = ct_series(spec)
    positions = {str(h.SOPInstanceUID): h.ImagePositionPatient for h in series.headers}
    for groups in encoded(series, analysis(spec.shape)).PerFrameFunctionalGroupsSequence:
        image = groups.DerivationImageSequence[0].SourceImageSequence[0]
        assert groups.PlanePositionSequence[0].ImagePositionPatient == pytest.approx(
            positions[image.ReferencedSOPInstanceUID]
        )


def test_frames_of_a_multi_frame_source_are_named_by_number() -> None:
    series = enhanced_series()
    found = analysis(series.volume.shape)
    seg = encoded(series, found)
    for number, mask in expected(found, series).items():
        np.testing.assert_array_equal(in_place(seg, number, series), mask)
    header = series.headers[0]
    for groups in seg.PerFrameFunctionalGroupsSequence:
        image = groups.DerivationImageSequence[0].SourceImageSequence[0]
        frame = header.PerFrameFunctionalGroupsSequence[image.ReferencedFrameNumber - 1]
        assert groups.PlanePositionSequence[0].ImagePositionPatient == pytest.approx(
            frame.PlanePositionSequence[0].ImagePositionPatient
        )
    assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 1


def test_segments_are_described_for_viewers() -> None:
    seg = encoded(ct_series(), analysis())
    right, left, first, second = seg.SegmentSequence
    assert [item.SegmentLabel for item in seg.SegmentSequence] == [
        "Right lung",
        "Left lung",
        "Opacity 1 (right)",
        "Opacity 2 (left)",
    ]
    assert right.SegmentedPropertyTypeCodeSequence[0].CodeValue == "3341006"
    assert left.SegmentedPropertyTypeCodeSequence[0].CodeValue == "44029006"
    region = second.AnatomicRegionSequence[0]
    assert region.AnatomicRegionModifierSequence[0].CodeValue == "7771000"
    assert len({item.TrackingUID for item in seg.SegmentSequence}) == 4
    colours = {tuple(item.RecommendedDisplayCIELabValue) for item in seg.SegmentSequence}
    assert len(colours) == 4
    assert first.SegmentAlgorithmType == "AUTOMATIC"
    assert seg.SegmentsOverlap == "YES"
    assert seg.FrameOfReferenceUID == "1.2.3.4.5.6"


def test_many_lesions_share_the_last_segment() -> None:
    count, shape = MAX_LESION_SEGMENTS + 5, (6, 16, 32)
    lungs, lesions = np.ones(shape, np.uint8), np.zeros(shape, np.uint8)
    for number in range(1, count + 1):
        lesions[2, number % 8, number] = number
    series = ct_series(SeriesSpec(shape=shape))
    found = analysis(
        shape,
        lungs=lungs,
        lesion_labels=lesions,
        lesions=tuple(lesion(number) for number in range(1, count + 1)),
    )
    seg = encoded(series, found)
    assert len(seg.SegmentSequence) == 1 + MAX_LESION_SEGMENTS + 1
    assert seg.SegmentSequence[-1].SegmentLabel == "5 further opacities"
    last = in_place(seg, len(seg.SegmentSequence), series)
    np.testing.assert_array_equal(last, lesions > MAX_LESION_SEGMENTS)


def test_an_absent_lung_leaves_no_segment() -> None:
    lungs, _ = masks(SeriesSpec().shape)
    lungs[lungs == 1] = 0
    found = analysis(lungs=lungs, lesions=(lesion(2, Side.LEFT),))
    seg = encoded(ct_series(), found)
    assert [item.SegmentNumber for item in seg.SegmentSequence] == [1, 2]
    assert seg.SegmentSequence[0].SegmentLabel == "Left lung"


def test_nothing_segmented_is_an_error() -> None:
    empty = np.zeros(SeriesSpec().shape, np.uint8)
    found = analysis(lungs=empty, lesion_labels=empty.copy(), lesions=())
    with pytest.raises(PipelineError, match="all masks are empty"):
        segmentation(ct_series(), found, context())


def test_empty_frames_are_kept_where_they_are_wanted() -> None:
    series, found = ct_series(SeriesSpec(missing=(3,))), analysis()
    seg = encoded(series, found, Products(empty_frames=True))
    assert seg.NumberOfFrames == 4 * 5
    assert seg.NumberOfFrames > encoded(series, found).NumberOfFrames
    for number, mask in expected(found, series).items():
        np.testing.assert_array_equal(in_place(seg, number, series), mask)


def test_a_plane_that_is_not_the_sources_is_told_by_the_grid() -> None:
    series = ct_series()
    for header in series.headers:
        header.PixelSpacing = ["1.4", "1.8"]
    shared = segmentation(series, analysis(), context()).SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.7, 0.9]


def test_no_segmentation_is_made_where_none_is_wanted() -> None:
    with pytest.raises(ValueError, match="got none"):
        encoded(ct_series(), analysis(), Products(segmentation=SegmentationForm.NONE))


def test_a_missing_frame_of_reference_is_derived() -> None:
    series = ct_series(SeriesSpec(frame_of_reference_uid=""))
    first = segmentation(series, analysis(), context())
    assert first.FrameOfReferenceUID.startswith("2.25.")
    again = segmentation(series, analysis(), context())
    assert again.FrameOfReferenceUID == first.FrameOfReferenceUID


def test_loss_in_the_source_stays_declared() -> None:
    series = ct_series(
        LossyImageCompression="01",
        LossyImageCompressionRatio="8.5",
        LossyImageCompressionMethod="ISO_15444_1",
    )
    seg = dcmread(BytesIO(part10(segmentation(series, analysis(), context()))))
    assert seg.LossyImageCompression == "01"
    assert seg.LossyImageCompressionRatio == 8.5
