"""The segmentation lies on its source, whatever the masks, the geometry and the missing slices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO

import highdicom as hd
import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pipeline.encode.bundle import part10
from pipeline.encode.common.sentences import score_line
from pipeline.encode.result.products import Products, SegmentationForm
from pipeline.encode.seg.segmentation import segmentation
from pipeline.types import Analysis, Classification, CtSeries, Side
from tests.support.samples.encode_samples import (
    POSITIONS,
    SeriesSpec,
    analysis,
    context,
    ct_series,
    enhanced_series,
    lesion,
)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    series: CtSeries
    found: Analysis
    products: Products


@st.composite
def cases(draw: st.DrawFn) -> Case:
    shape = draw(st.tuples(st.integers(3, 6), st.integers(4, 9), st.integers(4, 9)))
    spacing = st.floats(0.4, 5.0).map(lambda value: round(value, 3))
    enhanced = draw(st.booleans())
    missing = draw(st.sets(st.integers(1, shape[0] - 2), max_size=0 if enhanced else 1))
    spec = SeriesSpec(
        shape=shape,
        spacing_mm=draw(st.tuples(spacing, spacing, spacing)),
        position=draw(st.sampled_from(sorted(POSITIONS))),
        missing=tuple(missing),
        source_reversed=draw(st.booleans()),
    )
    series = enhanced_series(spec) if enhanced else ct_series(spec)
    labels = arrays(np.uint8, shape, elements=st.integers(0, 2))
    lungs, lesions = draw(labels), draw(labels)
    kept = [frame is not None for frame in series.volume.source]
    assume(lungs[kept].any() or lesions[kept].any())
    found = (lesion(1), lesion(2, Side.LEFT))
    products = Products(
        segmentation=draw(st.sampled_from([SegmentationForm.BINARY, SegmentationForm.LABELMAP])),
        empty_frames=draw(st.booleans()),
    )
    return Case(
        series=series,
        found=analysis(shape, lungs=lungs, lesion_labels=lesions, lesions=found),
        products=products,
    )


def expected(case: Case) -> dict[str, Mask]:
    """Masks on the slices with a source, by label; opacities cover lungs in a label map."""
    lungs, lesions = case.found.lungs.labels, case.found.lesion_labels
    kept = np.array([frame is not None for frame in case.series.volume.source])[:, None, None]
    free = kept & ((lesions == 0) | (case.products.segmentation is SegmentationForm.BINARY))
    return {
        "Right lung": (lungs == 1) & free,
        "Left lung": (lungs == 2) & free,
        "Opacity 1 (right)": (lesions == 1) & kept,
        "Opacity 2 (left)": (lesions == 2) & kept,
    }


def frames(seg: hd.seg.Segmentation) -> Iterator[tuple[int, NDArray[np.float64], Mask]]:
    """Segment Number, position and mask of each frame, or of each label of each frame."""
    pixels = np.frombuffer(seg.PixelData, np.uint8)
    if seg.BitsAllocated == 1:
        pixels = np.unpackbits(pixels, bitorder="little")
    size = seg.Rows * seg.Columns
    for number, groups in enumerate(seg.PerFrameFunctionalGroupsSequence):
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        frame = pixels[number * size : (number + 1) * size].reshape(seg.Rows, seg.Columns)
        if seg.BitsAllocated == 1:
            segment = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            yield segment, position, frame > 0
        else:
            for value in np.unique(frame):
                yield int(value), position, frame == value


def located(seg: hd.seg.Segmentation, affine: object) -> dict[str, Mask]:
    """Voxels of each segment on the grid of the series, by label."""
    inverse = np.linalg.inv(np.asarray(affine, float))
    names = {item.SegmentNumber: item.SegmentLabel for item in seg.SegmentSequence}
    found: dict[str, dict[int, Mask]] = {name: {} for name in names.values()}
    for number, position, mask in frames(seg):
        index = inverse @ (*position, 1.0)
        assert np.allclose(index[1:3], 0, atol=1e-3)
        assert abs(index[0] - round(index[0])) < 1e-3
        found[names[number]][round(index[0])] = mask
    return found


@given(cases())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_segment_lies_on_its_mask(case: Case) -> None:
    wanted = context(products=case.products)
    seg = hd.seg.segread(BytesIO(part10(segmentation(case.series, case.found, wanted))))
    planes = located(seg, case.series.volume.affine)
    for label, mask in expected(case).items():
        read = np.zeros_like(mask)
        for index, plane in planes.get(label, {}).items():
            read[index] = plane
        np.testing.assert_array_equal(read, mask)


@given(cases())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_planes_are_written_in_the_words_of_the_source(case: Case) -> None:
    seg = segmentation(case.series, case.found, context(products=case.products))
    shared = seg.SharedFunctionalGroupsSequence[0]
    header = case.series.headers[0]
    origin = header.get("SharedFunctionalGroupsSequence")
    measures = origin[0].PixelMeasuresSequence[0] if origin else header
    turned = origin[0].PlaneOrientationSequence[0] if origin else header
    assert words(shared.PixelMeasuresSequence[0].PixelSpacing) == words(measures.PixelSpacing)
    assert words(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == words(
        turned.ImageOrientationPatient
    )
    headers = {header.SOPInstanceUID: header for header in case.series.headers}
    for groups in seg.PerFrameFunctionalGroupsSequence:
        image = groups.DerivationImageSequence[0].SourceImageSequence[0]
        own = headers[image.ReferencedSOPInstanceUID]
        if "ReferencedFrameNumber" in image:
            own = own.PerFrameFunctionalGroupsSequence[image.ReferencedFrameNumber - 1]
            own = own.PlanePositionSequence[0]
        place = groups.PlanePositionSequence[0]
        assert words(place.ImagePositionPatient) == words(own.ImagePositionPatient)


def words(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values]


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
    by_hand = located(seg, series.volume.affine)["Left lung"]
    volume = seg.get_volume(segment_numbers=[2])
    assert sum(plane.sum() for plane in by_hand.values()) == volume.array.sum()
