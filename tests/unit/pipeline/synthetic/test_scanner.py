"""The drawn scanner changes how a chest looks, not what is in it."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.synthetic.disease.scanner import PADDING_HU, acquire
from pipeline.synthetic.disease.shapes import Floats

SPACING_MM = (5.0, 2.0, 2.0)
SEEDS = range(40)


@pytest.fixture(scope="module")
def chest() -> tuple[Floats, Floats]:
    """Attenuation and lungs: two blocks of lung, one with ground glass, in soft tissue."""
    hu = np.full((20, 60, 90), 40, np.float32)
    lungs = np.zeros_like(hu)
    lungs[2:-2, 10:-10, 10:38] = lungs[2:-2, 10:-10, 52:80] = 1
    hu[lungs > 0] = -860
    hu[5:15, 35:48, 12:25] = -560
    return hu, lungs


def pictures(chest: tuple[Floats, Floats]) -> list[Floats]:
    return [acquire(chest[0], SPACING_MM, chest[1], np.random.default_rng(seed)) for seed in SEEDS]


def test_a_picture_is_new_and_of_the_same_kind(chest: tuple[Floats, Floats]) -> None:
    before = chest[0].copy()

    seen = pictures(chest)

    assert np.array_equal(chest[0], before)
    assert all(image.shape == before.shape and image.dtype == np.float32 for image in seen)
    assert all(np.isfinite(image).all() for image in seen)


def test_ground_glass_does_not_drown(chest: tuple[Floats, Floats]) -> None:
    for seen in pictures(chest):
        glass, lung = seen[7:13, 37:46, 14:23].mean(), seen[7:13, 14:30, 14:23].mean()

        assert 200 < glass - lung < 400


def test_noise_spans_doses(chest: tuple[Floats, Floats]) -> None:
    levels = [seen[7:13, 14:30, 55:75].std() for seen in pictures(chest)]

    assert min(levels) < 5
    assert max(levels) > 30


def test_contrast_raises_blood_between_the_lungs_not_the_chest_wall(
    chest: tuple[Floats, Floats],
) -> None:
    heart = np.array([seen[6:14, 20:40, 41:49].mean() for seen in pictures(chest)])
    wall = np.array([seen[6:14, 2:7, 41:49].mean() for seen in pictures(chest)])

    enhanced = heart - wall > 40
    assert 0.1 < enhanced.mean() < 0.6
    assert np.median(np.abs(heart - wall)[~enhanced]) < 5
    assert np.abs(wall - 40).max() < 100


def test_padding_leaves_the_lungs(chest: tuple[Floats, Floats]) -> None:
    padded = [seen for seen in pictures(chest) if (seen[0, 0, 0] == PADDING_HU).any()]

    assert padded
    assert all(not np.isin(seen[chest[1] > 0], PADDING_HU).any() for seen in padded)


def test_the_same_seed_scans_the_same(chest: tuple[Floats, Floats]) -> None:
    first, again, other = (
        acquire(chest[0], SPACING_MM, chest[1], np.random.default_rng(seed)) for seed in (1, 1, 2)
    )

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
