"""Lesions and involvement are measured in millimetres, on the right side."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.lesions import measure
from pipeline.types import CtVolume, LungMask, Side

SHAPE = (10, 20, 30)
VOXEL_MM3 = 2.0 * 0.5 * 0.8


def volume() -> CtVolume:
    hu = np.full(SHAPE, -900, np.int16)
    hu[3:6, 4:8, 5:10] = -500
    hu[3:6, 4:8, 5:10][0] = -200
    return CtVolume(
        hu=hu,
        affine=np.array([[0, 0, 0.8, -10], [0, 0.5, 0, 20], [2, 0, 0, -100], [0, 0, 0, 1]]),
        frame_of_reference_uid="",
        source=(None,) * SHAPE[0],
    )


def lungs() -> LungMask:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, :, 2:14] = 1
    labels[:, :, 16:28] = 2
    return LungMask(labels=labels, method="unsupervised")


def two_lesions() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:6, 4:8, 5:10] = 1  # right
    labels[7, 10:12, 20:22] = 2  # left
    labels[8, 10:13, 20:22] = 2
    return labels


def test_lesion_is_measured_in_place() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[3:6, 4:8, 5:10] = 0.75

    first, second = measure.lesions(two_lesions(), volume(), lungs(), heat)

    assert (first.number, first.side, second.number, second.side) == (1, Side.RIGHT, 2, Side.LEFT)
    assert first.volume_mm3 == pytest.approx(60 * VOXEL_MM3)
    assert first.centroid_mm == pytest.approx((-10 + 7 * 0.8, 20 + 5.5 * 0.5, -100 + 4 * 2))
    assert first.mean_hu == pytest.approx((-200 - 500 - 500) / 3)
    assert (first.activation, second.activation) == pytest.approx((0.75, 0))


def test_key_slice_has_the_largest_area_and_is_the_lowest_of_equals() -> None:
    first, second = measure.lesions(two_lesions(), volume(), lungs(), np.zeros(SHAPE, np.float32))

    assert (first.key_slice, second.key_slice) == (3, 8)


def test_lesion_across_both_sides_belongs_to_the_larger_part() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 2, 12:21] = 1  # 2 voxels right, 5 left, 2 in between

    (lesion,) = measure.lesions(labels, volume(), lungs(), np.zeros(SHAPE, np.float32))

    assert lesion.side is Side.LEFT


def test_no_lesion_gives_nothing() -> None:
    empty = np.zeros(SHAPE, np.uint8)

    assert measure.lesions(empty, volume(), lungs(), np.zeros(SHAPE, np.float32)) == ()


def test_involvement_counts_lesions_within_each_lung() -> None:
    mask = two_lesions() > 0
    mask[0, 0, 14:16] = True  # between the lungs: does not count

    found = measure.involvement(mask, lungs(), volume())

    lung_voxels = 10 * 20 * 12
    assert found.right_ml == pytest.approx(lung_voxels * VOXEL_MM3 / 1000)
    assert found.total_ml == pytest.approx(2 * lung_voxels * VOXEL_MM3 / 1000)
    assert found.right == pytest.approx(60 / lung_voxels)
    assert found.left == pytest.approx(10 / lung_voxels)
    assert found.total == pytest.approx(70 / (2 * lung_voxels))


@pytest.mark.parametrize("place", [np.s_[2, 2, 13:17], np.s_[2, 2, 14:16]])
def test_a_lesion_in_both_lungs_alike_or_in_neither_has_no_side(place: tuple[slice, ...]) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[place] = 1

    (lesion,) = measure.lesions(labels, volume(), lungs(), np.zeros(SHAPE, np.float32))

    assert lesion.side is None


def test_a_lung_of_an_open_side_counts_in_all_and_in_neither() -> None:
    both = lungs().labels
    open_side = LungMask(labels=np.where(both > 0, 3, 0).astype(np.uint8), method="unet")

    found = measure.involvement(two_lesions() > 0, open_side, volume())
    sided = measure.involvement(two_lesions() > 0, lungs(), volume())

    assert (found.right, found.left, found.total) == (None, None, sided.total)
    assert (found.right_ml, found.left_ml, found.total_ml) == (0, 0, sided.total_ml)
    assert {
        lesion.side
        for lesion in measure.lesions(
            two_lesions(), volume(), open_side, np.zeros(SHAPE, np.float32)
        )
    } == {None}


def test_a_missing_lung_has_no_share() -> None:
    only_right = LungMask(
        labels=np.where(lungs().labels == 1, 1, 0).astype(np.uint8), method="unet"
    )

    found = measure.involvement(two_lesions() > 0, only_right, volume())

    assert (found.left_ml, found.left) == (0, None)


def test_consolidation_and_ground_glass_share_the_volume() -> None:
    first, second = measure.lesions(two_lesions(), volume(), lungs(), np.zeros(SHAPE, np.float32))

    assert first.consolidation_mm3 == pytest.approx(20 * VOXEL_MM3)  # the slice of -200 HU
    assert first.ground_glass_mm3 == pytest.approx(40 * VOXEL_MM3)
    assert (second.consolidation_mm3, second.ground_glass_mm3) == (0, second.volume_mm3)


@pytest.mark.parametrize(
    ("area", "expected"),
    [
        (np.s_[2:3, 2:3], np.hypot(0.5, 0.8)),
        (np.s_[2:8, 4:14], np.hypot(6 * 0.5, 10 * 0.8)),
        (np.s_[2:3, 4:14], np.hypot(0.5, 10 * 0.8)),
    ],
)
def test_the_long_axis_reaches_from_corner_to_corner_in_millimetres(
    area: tuple[slice, ...], expected: float
) -> None:
    image = np.zeros(SHAPE[1:], np.bool_)
    image[area] = True

    assert measure.long_axis_mm(image, (0.5, 0.8)) == pytest.approx(expected)


def test_the_long_axis_is_of_the_largest_connected_area_of_the_key_slice() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[4, 2:8, 4] = 1  # 6 pixels, 3 mm
    labels[4, 15:17, 12] = 1  # another part, far away
    labels[5, 0, 2:7] = 1  # a smaller slice

    (lesion,) = measure.lesions(labels, volume(), lungs(), np.zeros(SHAPE, np.float32))

    assert lesion.long_axis_mm == pytest.approx(np.hypot(6 * 0.5, 0.8))


def test_low_attenuation_is_counted_in_each_lung() -> None:
    dark = volume()
    hu = dark.hu.copy()
    hu[0, 0, :5] = -980  # two pixels beside the lung, three in the right one
    hu[0, 0, 20] = -951
    hu[0, 0, 21] = -950  # not below

    found = measure.low_attenuation(replace(dark, hu=hu), lungs(), ())

    assert found is not None
    assert (found.right_ml, found.left_ml, found.total_ml) == pytest.approx(
        (3 * VOXEL_MM3 / 1000, VOXEL_MM3 / 1000, 4 * VOXEL_MM3 / 1000)
    )


@pytest.mark.parametrize("doubt", measure.NO_LOW_ATTENUATION)
def test_low_attenuation_is_not_measured_where_it_would_be_the_scanners(doubt: str) -> None:
    assert measure.low_attenuation(volume(), lungs(), ("lungs-volume", doubt)) is None
