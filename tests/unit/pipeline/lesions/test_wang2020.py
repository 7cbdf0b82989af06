"""The paper's steps, one by one: top share, density, height, patches, the choice by 3DCC."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.lesions.wang2020 import (
    BINS,
    MAX_CANDIDATES,
    TOP_SHARE,
    candidates,
    central,
    chosen,
    largest,
    top,
)

SHAPE = (10, 40, 40)
MAPS = arrays(np.float32, (4, 9, 9), elements=st.floats(0, 100, width=32))


def block(*bounds: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.bool_)
    mask[tuple(slice(a, b) for a, b in bounds)] = True
    return mask


def plain_top(activation: np.ndarray) -> np.ndarray:
    """Walk down the histogram bin by bin."""
    low, high = float(activation.min()), float(activation.max())
    grey = np.floor((activation - low) / (high - low) * 255)
    kept = 0
    for bin_ in reversed(range(BINS)):
        lower, upper = Fraction(255 * bin_, BINS), Fraction(255 * (bin_ + 1), BINS)
        inside = [lower <= int(g) < upper or (bin_ == BINS - 1 and g == 255) for g in grey.flat]
        kept += sum(inside)
        if kept > TOP_SHARE * activation.size:
            return np.asarray(grey > int(upper))
    raise AssertionError("all voxels lie in some bin")


@settings(max_examples=60, deadline=None)
@given(MAPS.filter(lambda each: each.max() > each.min()))
def test_top_is_what_the_histogram_says_and_at_most_its_share(activation: np.ndarray) -> None:
    found = top(activation)

    assert np.array_equal(found, plain_top(activation))
    assert found.sum() <= TOP_SHARE * activation.size


def test_flat_activation_has_no_top() -> None:
    assert not top(np.ones(SHAPE, np.float32)).any()


def test_planes_around_the_widest_are_kept_down_to_two_fifths_of_its_area() -> None:
    lungs = np.zeros(SHAPE, np.bool_)
    for plane, columns in enumerate((10, 3, 5, 8, 10, 9, 6, 4, 2, 9)):
        lungs[plane, 0, :columns] = True

    assert np.flatnonzero(central(lungs)).tolist() == [2, 3, 4, 5, 6]


def test_patches_are_dense_active_and_numbered_by_size() -> None:
    large, small, thin = (
        block((4, 6), (5, 12), (5, 11)),
        block((4, 6), (20, 25), (20, 25)),
        block((4, 6), (30, 38), (30, 33)),
    )
    hu = np.full(SHAPE, -900, np.int16)
    hu[large | small] = -400
    activation = (large | small | thin).astype(np.float32)

    labels = candidates(activation, hu, np.ones(SHAPE, np.bool_))

    assert np.array_equal(labels == 1, large)
    assert np.array_equal(labels == 2, small)
    assert labels.max() == 2


def test_no_more_patches_than_the_paper_keeps() -> None:
    dots = np.zeros(SHAPE, np.bool_)
    dots[::3, ::5, ::5] = True

    assert largest(dots, MAX_CANDIDATES).max() == MAX_CANDIDATES


@pytest.mark.parametrize(("speckled", "number"), [((0, 40), 2), ((0, 6), 1)])
def test_3dcc_chooses_the_patch_that_shares_most_voxels(
    speckled: tuple[int, int], number: int
) -> None:
    labels = block((2, 4), (2, 20), (2, 5)) + 2 * block((2, 8), (2, 20), (30, 34)).astype(np.intp)

    found = chosen(labels, block((2, 8), (2, 20), speckled))

    assert np.array_equal(found, labels == number)


def test_3dcc_apart_from_all_patches_chooses_none() -> None:
    labels = block((2, 4), (2, 20), (2, 5)).astype(np.intp)

    assert not chosen(labels, block((8, 9), (30, 35), (30, 35))).any()
