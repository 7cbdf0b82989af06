"""The coarse grid and the boxes of masks, voxel by voxel; unequal along the three axes."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.lungs.coarse_grid import Coarse, box_of, largest_nearby, nearer_than, on_coarse
from pipeline.lungs.midline import middle_of_trachea


@pytest.mark.parametrize("factors", [(1, 2, 3), (2, 3, 4), (3, 1, 2), (4, 5, 1)])
def test_a_mask_comes_to_the_coarse_grid_by_the_middle_of_each_block(
    factors: tuple[int, int, int],
) -> None:
    """The last block may be cut short before its middle: it has its neighbour's."""
    counts = (3, 4, 5)
    shape = tuple(n * count for n, count in zip(factors, counts, strict=True))
    mask = np.zeros(shape, bool)
    wanted = np.zeros(counts, bool)
    wanted[1, 2, 3], wanted[0, 0, 0], wanted[2, 3, 4] = True, True, True
    for block in np.argwhere(wanted):
        mask[tuple(at * n + n // 2 for at, n in zip(block, factors, strict=True))] = True
    coarse = Coarse(
        hu=np.zeros(counts, np.int16),
        spacing_mm=(1.0, 1.0, 1.0),
        factors=factors,
        shape=(shape[0], shape[1], shape[2]),
    )
    np.testing.assert_array_equal(on_coarse(mask, coarse), wanted)


def test_a_box_is_widened_along_each_axis_and_ends_at_the_edge() -> None:
    mask = np.zeros((20, 30, 40), bool)
    mask[5:8, 10:14, 20:25] = True
    assert box_of(mask, (0, 0, 0)) == (slice(5, 8), slice(10, 14), slice(20, 25))
    assert box_of(mask, (1, 2, 3)) == (slice(4, 9), slice(8, 16), slice(17, 28))
    assert box_of(mask, (9, 11, 21)) == (slice(0, 17), slice(0, 25), slice(0, 46))


def test_near_is_measured_in_millimetres_along_each_axis() -> None:
    mask = np.zeros((21, 21, 21), bool)
    mask[10, 10, 10] = True
    near = nearer_than(6.1, mask, (3.0, 2.0, 1.0))
    reach = [
        int(np.flatnonzero(near.any(axis=axes)).max()) - 10 for axes in ((1, 2), (0, 2), (0, 1))
    ]
    assert reach == [2, 3, 6]


def test_the_largest_of_a_box_is_taken_along_each_axis() -> None:
    values = np.zeros((9, 9, 9), np.uint8)
    values[4, 4, 4], values[0, 8, 0] = 2, 1
    grown = largest_nearby(values, (1, 2, 3))
    expected = np.zeros_like(values)
    expected[0:2, 6:9, 0:4] = 1
    expected[3:6, 2:7, 1:8] = 2
    np.testing.assert_array_equal(grown, expected)


def test_the_trachea_is_the_upper_third_of_the_airways() -> None:
    """Its middle is the mean of the columns of slices 20 to 29; the bronchi below lie elsewhere."""
    airways = np.zeros((34, 8, 64), bool)
    for at in range(30):
        airways[at, 3, 2 * at] = True
    assert middle_of_trachea(airways) == pytest.approx(2 * np.mean(range(20, 30)))
    assert middle_of_trachea(np.zeros_like(airways)) is None
