"""Outlines enclose what they outline."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.encode.source.outline import MAX_POINTS, outline

small_masks = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(np.any)


def largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(mask)
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(
        labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1
    )
    return filled


def inside(polygon: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels whose centre is inside, by the even-odd rule."""
    rows, columns = np.indices(shape) + 0.5
    crossings = np.zeros(shape, np.int64)
    for (x, y), (u, v) in pairwise(polygon):
        if y == v:
            continue
        between = (rows > min(y, v)) & (rows < max(y, v))
        crossings += between & (columns < x + (rows - y) * (u - x) / (v - y))
    return crossings % 2 == 1


@given(small_masks)
def test_small_areas_are_enclosed_exactly(mask: NDArray[np.bool_]) -> None:
    polygon = outline(mask)

    assert (polygon[0] == polygon[-1]).all()
    assert len(polygon) <= MAX_POINTS + 1
    assert (inside(polygon, mask.shape) == largest(mask)).all()


@given(st.floats(0.3, 1.0), st.floats(0.0, np.pi), st.integers(20, 90), st.floats(0, 0.25))
@settings(max_examples=60, deadline=None)
def test_large_areas_are_enclosed_within_a_pixel(
    flatness: float, turn: float, radius: int, bulge: float
) -> None:
    y, x = np.mgrid[-110:110, -120:120]
    angle, r = np.arctan2(y, x) - turn, np.hypot(x, y)
    edge = radius * (1 + bulge * np.cos(3 * angle))
    mask = r * np.hypot(np.cos(angle), np.sin(angle) / flatness) <= edge
    polygon = outline(mask)
    found = inside(polygon, mask.shape)

    assert len(polygon) <= MAX_POINTS + 1
    assert not (found & ~ndimage.binary_dilation(mask, np.ones((3, 3)))).any()
    assert not (ndimage.binary_erosion(mask, np.ones((3, 3))) & ~found).any()


def test_the_first_pixel_lies_between_nought_and_one() -> None:
    mask = np.zeros((4, 6), np.bool_)
    mask[0, 0] = True

    assert sorted(set(map(tuple, outline(mask).tolist()))) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_columns_come_before_rows() -> None:
    mask = np.zeros((4, 6), np.bool_)
    mask[1, 2:5] = True

    assert outline(mask).min(axis=0).tolist() == [2, 1]
    assert outline(mask).max(axis=0).tolist() == [5, 2]


def test_ragged_areas_keep_few_points() -> None:
    noise = np.random.default_rng(3).random((200, 200)) > 0.3

    assert len(outline(noise)) <= MAX_POINTS + 1


def test_nothing_has_no_outline() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        outline(np.zeros((3, 3), np.bool_))
