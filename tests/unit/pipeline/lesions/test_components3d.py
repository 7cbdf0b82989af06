"""3DCC marks what its definition says, window by window, in both variants."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from pipeline.lesions.components3d import (
    BLOCK,
    BLOCK_START,
    MAX_STD_DEVIATION_FROM_HALF,
    MIN_PIECES,
    WINDOW,
    components_activation,
    pieces,
    speckled,
    speckled_blocks,
)

ANY = arrays(np.bool_, (2, 9, 11), elements=st.booleans())


def is_speckled(window: np.ndarray) -> bool:
    """The definition."""
    _, count = ndimage.label(window, structure=np.ones((3, 3)))
    return window.std() > 0.5 - MAX_STD_DEVIATION_FROM_HALF and count >= MIN_PIECES


def naive_speckled(mask: np.ndarray) -> np.ndarray:
    half = WINDOW // 2
    padded = np.pad(mask, ((0, 0), (half, half), (half, half)))
    marked = np.zeros_like(mask)
    for z, y, x in np.ndindex(mask.shape):
        marked[z, y, x] = is_speckled(padded[z, y : y + WINDOW, x : x + WINDOW])
    return marked


def naive_blocks(mask: np.ndarray) -> np.ndarray:
    marked = np.zeros_like(mask)
    planes, rows, columns = mask.shape
    for z in range(round(0.1 * planes), round(0.8 * planes)):
        for y in range(BLOCK_START, rows - BLOCK + 1, BLOCK):
            for x in range(BLOCK_START, columns - BLOCK + 1, BLOCK):
                block = (z, slice(y, y + BLOCK), slice(x, x + BLOCK))
                marked[block] = is_speckled(mask[block])
    return marked


def grains(seed: int, share: float, shape: tuple[int, int, int]) -> np.ndarray:
    """Noise of any fill and, every other seed, of coarser grain."""
    rng = np.random.default_rng(seed)
    noise = rng.random(shape)
    if seed % 2:
        noise = ndimage.uniform_filter(noise, (0, 2, 2))
    filled: np.ndarray = noise < np.quantile(noise, share)
    return filled


@settings(max_examples=25, deadline=None)
@given(ANY)
def test_speckle_is_what_the_definition_says(mask: np.ndarray) -> None:
    assert np.array_equal(speckled(mask, np.ones_like(mask)), naive_speckled(mask))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 0.9))
def test_speckle_of_any_fill_is_what_the_definition_says(seed: int, share: float) -> None:
    mask = grains(seed, share, (5, 10, 15))

    lungs = grains(seed + 1, 0.7, mask.shape)
    assert np.array_equal(speckled(mask, lungs), naive_speckled(mask) & lungs)
    assert np.array_equal(speckled_blocks(mask, lungs), naive_blocks(mask) & lungs)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 0.9))
def test_pieces_are_counted_window_by_window(seed: int, share: float) -> None:
    windows = grains(seed, share, (6, 7, 7))

    expected = [ndimage.label(window, structure=np.ones((3, 3)))[1] for window in windows]
    assert pieces(windows).tolist() == expected


def test_speckle_of_separate_grains_is_marked() -> None:
    mask = np.zeros((1, 21, 21), np.bool_)
    mask[0, ::2] = True  # lines one pixel apart: half full, three or four pieces

    assert speckled(mask, np.ones_like(mask))[0, 10, 10]


def test_components_activation_keeps_the_largest_speckled_region() -> None:
    hu, lungs = np.full((6, 60, 60), -900, np.int16), np.ones((6, 60, 60), np.bool_)
    hu[:, 5:25:2, 5:25] = 0
    hu[:, 45:52:2, 45:52] = 0

    for variant in ("paper", "code"):
        marked = components_activation(hu, lungs, variant=variant)

        assert marked[3, 15, 15]
        assert not marked[:, 40:, 40:].any()
    assert not components_activation(np.full_like(hu, -900), lungs).any()
