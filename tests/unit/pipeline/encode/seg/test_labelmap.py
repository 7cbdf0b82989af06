"""The label map, read back by highdicom: one label a voxel, opacities over lungs."""

from __future__ import annotations

from io import BytesIO

import highdicom as hd
import numpy as np
import pytest

from pipeline.encode.bundle import encode, part10
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.products import Products, SegmentationForm
from pipeline.encode.seg.segmentation import segmentation
from pipeline.types import Analysis, CtSeries
from tests.support.samples.encode_samples import (
    POSITIONS,
    SeriesSpec,
    analysis,
    context,
    ct_series,
    enhanced_series,
)

LABELMAP = Products(segmentation=SegmentationForm.LABELMAP)


def encoded(series: CtSeries, found: Analysis) -> hd.seg.Segmentation:
    made = segmentation(series, found, context(products=LABELMAP))
    return hd.seg.segread(BytesIO(part10(made)))


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("shape", [(6, 16, 24), (5, 17, 15)])
def test_labels_come_back_in_place(position: str, shape: tuple[int, int, int]) -> None:
    series, found = ct_series(SeriesSpec(position=position, shape=shape)), analysis(shape)
    volume = encoded(series, found).get_volume(combine_segments=True)
    lesions = found.lesion_labels
    labels = np.where(lesions > 0, lesions + 2, found.lungs.labels)
    turned = volume.match_geometry(hd.Volume(labels, series.volume.affine, "PATIENT"))
    assert (labels[lesions > 0] > 2).all()
    np.testing.assert_array_equal(turned.array, labels)


def test_there_is_a_frame_for_every_source_slice() -> None:
    assert encoded(ct_series(SeriesSpec(missing=(3,))), analysis()).NumberOfFrames == 5
    assert encoded(enhanced_series(), analysis()).NumberOfFrames == 6


def test_segments_are_numbered_and_tracked_as_bit_planes() -> None:
    series, found = ct_series(), analysis()
    planes = segmentation(series, found, context()).SegmentSequence
    *labels, background = encoded(series, found).SegmentSequence  # OHIF colours by place
    assert background.SegmentNumber == 0
    for one, other in zip(labels, planes, strict=True):
        for keyword in ("SegmentNumber", "SegmentLabel", "TrackingUID", "TrackingID"):
            assert one[keyword].value == other[keyword].value
        assert one.RecommendedDisplayCIELabValue == other.RecommendedDisplayCIELabValue


def test_every_value_in_the_pixels_is_described() -> None:
    seg = encoded(ct_series(), analysis())
    described = {item.SegmentNumber for item in seg.SegmentSequence}
    assert set(np.unique(seg.pixel_array)) <= described
    assert seg.PixelPaddingValue == 0
    assert seg.SegmentsOverlap == "NO"


def test_what_is_left_of_a_lung_says_so() -> None:
    right, left, first, *_ = encoded(ct_series(), analysis()).SegmentSequence
    assert "Without the opacities" in right.SegmentDescription
    assert "Without the opacities" in left.SegmentDescription
    assert "SegmentDescription" not in first


def test_the_report_does_not_refer_to_it() -> None:
    """Readers that do not know its class would not read the report."""
    bundle = encode(ct_series(), analysis(), context(products=LABELMAP))
    made = {item.kind: item.dataset for item in bundle.objects}
    labels, report = made[ResultKind.SEGMENTATION], made[ResultKind.REPORT]
    assert str(labels.SOPInstanceUID) not in str(report)
    tracked = {str(item.TrackingUID) for item in labels.SegmentSequence if "TrackingUID" in item}
    assert len(tracked) == 4
    assert all(uid in str(report) for uid in tracked)
