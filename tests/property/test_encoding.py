"""Whatever the masks, the geometry and the missing slices: the segmentation lies on them."""

from __future__ import annotations

from io import BytesIO

import highdicom as hd
import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pipeline.encode.bundle import part10
from pipeline.encode.seg import segmentation
from pipeline.encode.wording import score_line
from pipeline.types import Classification, Side
from tests.unit.encode_samples import (
    POSITIONS,
    SeriesSpec,
    analysis,
    context,
    ct_series,
    lesion,
)

Labels = NDArray[np.uint8]


@st.composite
def cases(draw: st.DrawFn) -> tuple[SeriesSpec, Labels, Labels]:
    shape = draw(st.tuples(st.integers(3, 6), st.integers(4, 9), st.integers(4, 9)))
    spacing = st.floats(0.4, 5.0).map(lambda value: round(value, 3))
    missing = draw(st.sets(st.integers(1, shape[0] - 2), max_size=1))
    spec = SeriesSpec(
        shape=shape,
        spacing_mm=draw(st.tuples(spacing, spacing, spacing)),
        position=draw(st.sampled_from(sorted(POSITIONS))),
        missing=tuple(missing),
    )
    labels = st.integers(0, 2)
    return (
        spec,
        draw(arrays(np.uint8, shape, elements=labels)),
        draw(arrays(np.uint8, shape, elements=labels)),
    )


def located(seg: hd.seg.Segmentation, label: str, spec: SeriesSpec, affine: object) -> Labels:
    """Voxels of the segment on the grid of the series."""
    result = np.zeros(spec.shape, np.uint8)
    numbers = [s.SegmentNumber for s in seg.SegmentSequence if s.SegmentLabel == label]
    if not numbers:
        return result
    inverse = np.linalg.inv(np.asarray(affine, float))
    size = seg.Rows * seg.Columns
    bits = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
    for number, groups in enumerate(seg.PerFrameFunctionalGroupsSequence):
        if groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber != numbers[0]:
            continue
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        index = inverse @ (*position, 1.0)
        assert np.allclose(index[1:3], 0, atol=1e-3)
        frame = bits[number * size : (number + 1) * size].reshape(seg.Rows, seg.Columns)
        result[round(index[0])] = frame
    return result


@given(cases())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_segment_lies_on_its_mask(case: tuple[SeriesSpec, Labels, Labels]) -> None:
    spec, lungs, lesions = case
    series = ct_series(spec)
    real = np.array([frame is not None for frame in series.volume.source])
    assume(lungs[real].any() or lesions[real].any())
    found = analysis(
        spec.shape,
        lungs=lungs,
        lesion_labels=lesions,
        lesions=(lesion(1), lesion(2, Side.LEFT)),
    )
    seg = hd.seg.segread(BytesIO(part10(segmentation(series, found, context()))))
    kept = real[:, None, None]
    for label, mask in (
        ("Right lung", lungs == 1),
        ("Left lung", lungs == 2),
        ("Opacity 1 (right)", lesions == 1),
        ("Opacity 2 (left)", lesions == 2),
    ):
        np.testing.assert_array_equal(located(seg, label, spec, series.volume.affine), mask & kept)


@given(st.floats(0, 1), st.floats(0, 1))
def test_rounding_never_contradicts_the_decision(score: float, threshold: float) -> None:
    classification = Classification(score=score, threshold=threshold, operating_point="site")
    line = score_line(classification)
    shown = float(line.split()[1].rstrip(",")), float(line.split()[3])
    assert (shown[0] > shown[1]) <= classification.positive
    if abs(score - threshold) > 1e-5:
        assert (shown[0] > shown[1]) == classification.positive


def test_reading_frames_by_hand_agrees_with_highdicom() -> None:
    series, found = ct_series(), analysis()
    seg = hd.seg.segread(BytesIO(part10(segmentation(series, found, context()))))
    by_hand = located(seg, "Left lung", SeriesSpec(), series.volume.affine)
    volume = seg.get_volume(segment_numbers=[2])
    assert by_hand.sum() == volume.array.sum()
