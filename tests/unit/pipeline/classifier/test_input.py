"""The classifier's input holds the lungs, and a map finds its way back to the volume."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.classifier.input import (
    CELL,
    MAX_PLANES,
    NetworkInput,
    lung_box,
    mirrored_count,
    network_input,
    sample,
)
from pipeline.errors import UnsuitableSeries
from pipeline.model.manifest import ClassifierInput
from pipeline.networks.decovnet import FEATURE_OFFSET, FEATURE_STRIDE
from pipeline.networks.evidence_net import EvidenceNet
from pipeline.types import CtVolume, LungMask

WANTED = ClassifierInput(rows=64, columns=96, slice_mm=1.0, window_hu=(-1200, 600), margin_mm=5.0)


def volume_of(hu: np.ndarray, spacing_mm: tuple[float, float, float] = (2.0, 1.0, 1.0)) -> CtVolume:
    return CtVolume(
        hu=hu.astype(np.int16),
        affine=np.array(
            [
                [0, 0, spacing_mm[2], 0],
                [0, spacing_mm[1], 0, 0],
                [spacing_mm[0], 0, 0, 0],
                [0, 0, 0, 1],
            ],
            np.float64,
        ),
        frame_of_reference_uid="",
        source=(None,) * len(hu),
    )


def lungs_in(shape: tuple[int, int, int], low: tuple[int, ...], high: tuple[int, ...]) -> LungMask:
    labels = np.zeros(shape, np.uint8)
    labels[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = 1
    return LungMask(labels=labels, method="unsupervised")


def blocks(shape: tuple[int, int, int] = (40, 80, 100)) -> NetworkInput:
    return network_input(
        volume_of(np.full(shape, -1000)), lungs_in(shape, (8, 20, 15), (31, 65, 84)), WANTED
    )


def test_box_has_a_margin_of_5_mm_and_planes_lie_1_mm_apart() -> None:
    given_input = blocks()

    assert (given_input.low, given_input.high) == ((6, 15, 10), (33, 70, 89))
    assert given_input.tensor.shape == (1, 2, (33 - 6) * 2 + 1, 64, 96)
    assert given_input.tensor.dtype == np.float32


def test_box_stays_within_the_volume() -> None:
    mask = np.ones((4, 5, 6), np.bool_)

    assert lung_box(mask, (1, 1, 1), 5) == ((0, 0, 0), (3, 4, 5))


@pytest.mark.parametrize(
    ("hu", "grey"),
    [
        (-1200, 0),
        (-2000, 0),
        (600, 255),
        (3071, 255),
        (-1000, 28),  # air: floor of 28.3
        (0, 170),  # water
        (-671, 74),  # just below the density gate of the paper's code, grey 75
    ],
)
def test_attenuation_is_floored_to_8_bits(hu: int, grey: int) -> None:
    shape = (10, 20, 20)
    given_input = network_input(
        volume_of(np.full(shape, hu)), lungs_in(shape, (0, 0, 0), (9, 19, 19)), WANTED
    )

    assert np.unique(given_input.tensor[0, 0]) * 255 == pytest.approx([grey])


def test_second_channel_is_the_lung_mask() -> None:
    mask = blocks().tensor[0, 1]

    assert set(np.unique(mask)) == {0.0, 1.0}
    assert mask.mean() == pytest.approx(24 / 28 * 46 / 56 * 70 / 80, rel=0.05)


def test_longer_lungs_are_squeezed_not_cut() -> None:
    shape = (300, 8, 8)
    given_input = network_input(
        volume_of(np.zeros(shape)), lungs_in(shape, (0, 0, 0), (299, 7, 7)), WANTED
    )

    assert given_input.tensor.shape[2] == MAX_PLANES
    assert (given_input.low[0], given_input.high[0]) == (0, 299)


def test_no_lungs_is_refused_with_its_code() -> None:
    shape = (4, 8, 8)
    empty = LungMask(labels=np.zeros(shape, np.uint8), method="unet")

    with pytest.raises(UnsuitableSeries, match="no-lungs"):
        network_input(volume_of(np.zeros(shape)), empty, WANTED)


def test_map_is_zero_outside_the_box() -> None:
    given_input = blocks()

    back = given_input.to_source(np.ones(given_input.grid_shape, np.float32))

    assert back.shape == given_input.source_shape
    assert back[6:34, 15:71, 10:90].min() == pytest.approx(1)
    assert back.sum() == pytest.approx(28 * 56 * 80)


@settings(max_examples=25, deadline=None)
@given(
    centre=st.tuples(st.integers(10, 29), st.integers(24, 60), st.integers(20, 78)),
    spacing=st.tuples(st.floats(0.6, 3.0), st.floats(0.5, 1.0), st.floats(0.5, 1.0)),
)
def test_a_blob_comes_back_to_its_place(
    centre: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    shape = (40, 80, 100)
    where = np.indices(shape)
    away = sum((axis - c) ** 2 for axis, c in zip(where, centre, strict=True))
    volume = volume_of(600 - np.minimum(away * 20, 1800), spacing)
    given_input = network_input(volume, lungs_in(shape, (4, 10, 8), (35, 74, 90)), WANTED)

    back = given_input.to_source(given_input.tensor[0, 0])

    weights = back / back.sum()
    found = [float((axis * weights).sum()) for axis in where]
    assert found == pytest.approx(centre, abs=0.7)


def test_feature_cells_lie_where_the_strides_put_them() -> None:
    given_input = blocks()  # planes 55, rows 64, columns 96; box of 28 x 56 x 80 voxels
    features = np.zeros((27, 8, 12), np.float32)
    features[10, 4, 6] = 1

    back = given_input.to_source(features, stride=FEATURE_STRIDE, offset=FEATURE_OFFSET)

    where = np.indices(back.shape)
    found = [float((axis * back).sum() / back.sum()) for axis in where]
    expected = (6 + 20.5 / 54 * 27, 15 + 32 / 63 * 55, 10 + 48 / 95 * 79)
    assert found == pytest.approx(expected, abs=0.1)


def test_sampling_is_linear_and_clamped() -> None:
    values = np.arange(4, dtype=np.float32).reshape(4, 1, 1)

    at = np.array([-2, 0, 0.25, 2.5, 3, 9])

    assert sample(values, at, axis=0).ravel() == pytest.approx([0, 0, 0.25, 2.5, 3, 3])


AVERAGES = ClassifierInput(
    rows=64,
    columns=96,
    slice_mm=4.0,
    window_hu=(-1200, 600),
    margin_mm=5.0,
    sampling=2,
    pixel_mm=2.5,
)
SHAPE = (40, 80, 100)


def averaged_blocks(
    low: tuple[int, ...] = (8, 20, 15), high: tuple[int, ...] = (31, 65, 84), **changed: object
) -> NetworkInput:
    rng = np.random.default_rng(3)
    volume = volume_of(rng.normal(-700, 200, SHAPE))
    return network_input(volume, lungs_in(SHAPE, low, high), AVERAGES.model_copy(update=changed))


def test_cells_are_those_of_the_networks() -> None:
    assert CELL == FEATURE_STRIDE


def test_pixels_have_a_size_where_and_only_where_they_are_averages() -> None:
    for wrong in ({"sampling": 2, "pixel_mm": None}, {"sampling": 1, "pixel_mm": 2.0}):
        with pytest.raises(ValueError, match="pixel_mm with sampling 2"):
            ClassifierInput.model_validate(AVERAGES.model_dump() | wrong)
    assert set(WANTED.as_settings()) == {
        "rows",
        "columns",
        "slice_mm",
        "window_hu",
        "margin_mm",
    }, "a manifest of sampling 1 reads as it always has"


@pytest.mark.parametrize("count", [1, 8, 9, 16, 100, 112, 168])
def test_rows_and_columns_have_as_many_cells_on_each_side_of_the_middle(count: int) -> None:
    found = mirrored_count(count)

    cells = np.arange(0, found, CELL[-1])
    assert found >= count
    assert len(cells) % 2 == 0
    np.testing.assert_array_equal(cells + cells[::-1], found - 1)


def test_square_pixels_keep_their_size_whatever_the_box() -> None:
    for given_input in (averaged_blocks(), averaged_blocks(margin_mm=30.0)):
        assert given_input.ends is not None
        _, rows, columns = given_input.grid_shape
        begin, end = given_input.ends
        assert end[1] - begin[1] == pytest.approx(2.5 * (rows - 1))
        assert end[2] - begin[2] == pytest.approx(2.5 * (columns - 1))


def test_a_wider_margin_or_mask_adds_cells_and_moves_none() -> None:
    """So it cannot change the pattern that the network sees in the lungs."""
    narrow = averaged_blocks()
    for wide in (
        averaged_blocks(margin_mm=25.0),
        averaged_blocks((6, 10, 2), (33, 75, 97)),
    ):
        offsets = [
            (large - small) // 2
            for large, small in zip(wide.grid_shape, narrow.grid_shape, strict=True)
        ]
        assert max(offsets) > 0
        assert all(offset % cell == 0 for offset, cell in zip(offsets, CELL, strict=True))
        within = tuple(
            slice(offset, offset + count)
            for offset, count in zip(offsets, narrow.grid_shape, strict=True)
        )
        seen = wide.tensor[0, 0][within]
        held = tuple(slice(8, -8) for _ in range(2))  # the edge of the volume is beyond
        np.testing.assert_allclose(
            seen[(slice(4, -4), *held)], narrow.tensor[0, 0][(slice(4, -4), *held)], atol=0.005
        )


def test_a_mirrored_patient_makes_a_mirrored_input() -> None:
    rng = np.random.default_rng(3)
    hu = rng.normal(-700, 200, SHAPE)
    lungs = lungs_in(SHAPE, (8, 20, 15), (31, 65, 84))
    flipped = lungs_in(SHAPE, (8, 20, 15), (31, 65, 84)).labels[:, :, ::-1].copy()

    plain = network_input(volume_of(hu), lungs, AVERAGES)
    mirror = network_input(
        volume_of(hu[:, :, ::-1]), LungMask(labels=flipped, method="unet"), AVERAGES
    )

    np.testing.assert_allclose(mirror.tensor[..., ::-1], plain.tensor, atol=0.005)
    cells = EvidenceNet().eval().features(torch.from_numpy(plain.tensor)).shape[2:]
    assert cells[-1] % 2 == 0
    assert cells[-1] == plain.grid_shape[2] // 8 + 1


@pytest.mark.parametrize("spacing", [(2.0, 0.8, 0.8), (5.0, 0.6, 0.9), (0.7, 1.0, 1.0)])
def test_a_blob_of_an_averaged_input_comes_back_to_its_place(
    spacing: tuple[float, float, float],
) -> None:
    centre, where = (18, 44, 52), np.indices(SHAPE)
    away = sum((axis - c) ** 2 for axis, c in zip(where, centre, strict=True))
    volume = volume_of(600 - np.minimum(away * 20, 1800), spacing)
    wanted = AVERAGES.model_copy(update={"pixel_mm": 1.2, "slice_mm": 2.0})
    given_input = network_input(volume, lungs_in(SHAPE, (4, 10, 8), (35, 74, 90)), wanted)

    back = given_input.to_source(given_input.tensor[0, 0])

    assert back.shape == SHAPE
    weights = back / back.sum()
    found = [float((axis * weights).sum()) for axis in where]
    assert found == pytest.approx(centre, abs=0.7)


def test_averages_of_a_box_of_too_many_planes_are_squeezed() -> None:
    volume = volume_of(np.full((300, 40, 40), -800), (8.0, 2.0, 2.0))
    found = network_input(volume, lungs_in((300, 40, 40), (1, 4, 4), (298, 35, 35)), AVERAGES)
    assert found.grid_shape[0] == MAX_PLANES
