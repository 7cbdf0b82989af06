"""A patch is round by the ball of its volume, and counts only with lung all around it."""

import numpy as np
import pytest

from pipeline.lesions.region import Region
from pipeline.lesions.roundness import round_ground_glass, within_its_ball

SHAPE = (40, 60, 60)
SPACING_MM = (2.0, 1.0, 1.0)


def spheroid(long: float, radius_mm: float = 8.0) -> np.ndarray:
    """Spheroid in the middle, so many times as long across the columns as across the others."""
    at = (np.indices(SHAPE) - np.array([20, 30, 30])[:, None, None, None]).astype(float)
    at *= np.array(SPACING_MM)[:, None, None, None]
    at[2] /= long
    inside: np.ndarray = (at**2).sum(axis=0) <= radius_mm**2
    return inside


def chosen(
    patch: np.ndarray,
    hu: int,
    lungs: np.ndarray,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
) -> bool:
    region = Region(
        hu=np.where(patch, hu, -860).astype(np.int16),
        sides=lungs.astype(np.uint8),
        spacing_mm=spacing_mm,
    )
    return 1 in round_ground_glass(patch.astype(np.intp), [1], region)


@pytest.mark.parametrize(("long", "share"), [(1, 1.0), (1.5, 0.85), (2, 0.74), (3, 0.59)])
def test_the_longer_the_less_lies_within_the_ball_of_its_volume(long: float, share: float) -> None:
    assert within_its_ball(spheroid(long), SPACING_MM) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(
    ("long", "hu", "expected"),
    [(1, -500, True), (1.5, -500, True), (3, -500, False), (1, 20, False)],
)
def test_round_ground_glass_is_chosen_and_no_branch_or_solid(
    long: float, hu: int, expected: bool
) -> None:
    assert chosen(spheroid(long), hu, np.ones(SHAPE, np.bool_)) == expected


def test_one_voxel_beside_it_that_is_no_lung_leaves_it_out() -> None:
    patch, lungs = spheroid(1), np.ones(SHAPE, np.bool_)
    lungs[20, 30, np.flatnonzero(patch[20, 30]).max() + 1] = False

    assert not chosen(patch, -500, lungs)


@pytest.mark.parametrize(
    ("voxels", "expected"),
    [((3, 3, 3), True), ((2, 3, 3), False), ((3, 2, 3), False), ((3, 3, 2), False)],
)
def test_two_voxels_along_an_axis_tell_no_shape(
    voxels: tuple[int, int, int], expected: bool
) -> None:
    patch = np.zeros(SHAPE, np.bool_)
    patch[tuple(slice(20, 20 + count) for count in voxels)] = True
    z, y, x = (9 / count for count in voxels)  # a cube of 9 mm, always

    found = chosen(patch, -500, np.ones(SHAPE, np.bool_), (z, y, x))

    assert found == expected
