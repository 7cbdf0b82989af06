"""The mean of what lies within a cell, wherever the cell lies."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.classifier.area_average import averaged, cell_weights


@given(
    count=st.integers(1, 30),
    begin=st.floats(-5, 35),
    step=st.floats(0.2, 5),
    width=st.floats(1, 6),
)
def test_every_cell_weighs_its_voxels_to_one(
    count: int, begin: float, step: float, width: float
) -> None:
    weights = cell_weights(count, begin + step * np.arange(7), width)

    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    assert (weights >= 0).all()


def test_a_cell_holds_the_mean_of_what_it_covers() -> None:
    values = np.arange(6, dtype=np.int16).reshape(6, 1, 1)

    found = averaged(values, np.array([0.5, 2.5, 4.0]), 2.0, axis=0)

    np.testing.assert_allclose(found[:, 0, 0], [0.5, 2.5, 4.0])
    assert found.dtype == np.float32


def test_a_finer_grid_is_interpolated_and_ends_with_the_outermost_values() -> None:
    values = np.array([[[0, 10, 20]]], np.int16)

    found = averaged(values, np.array([-3.0, 0.25, 1.5, 9.0]), 0.3, axis=2)

    np.testing.assert_allclose(found[0, 0], [0, 2.5, 15, 20], atol=1e-5)


def test_noise_of_single_voxels_is_averaged_away() -> None:
    noise = np.random.default_rng(1).normal(0, 30, (1, 300, 300))

    narrow = averaged(noise, np.arange(1, 299, 3.0), 3.0, axis=1)

    assert narrow.std() < 0.6 * noise.std()
