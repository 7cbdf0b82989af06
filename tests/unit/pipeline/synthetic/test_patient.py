"""Painted patients: labels, lesions and chance behave as the training relies on."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
from scipy import ndimage

from pipeline.synthetic.disease.patient import (
    BACKGROUND,
    NEGATIVES,
    PAINTERS,
    POSITIVES,
    TWINS,
    paint_case,
    paint_twin,
)
from pipeline.synthetic.disease.shapes import View, flood, net, noise, side_of

SHAPE = (24, 48, 64)
SPACING_MM = (10.0, 4.0, 4.5)


@pytest.fixture
def healthy() -> View:
    """Two ellipsoids of lung of -860 HU in soft tissue of 40 HU, and a vessel of 30 HU in each."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    away = np.minimum(
        *((z / 0.95) ** 2 + (y / 0.9) ** 2 + ((x - m) / 0.42) ** 2 for m in (-0.5, 0.5))
    )
    lungs = (away < 1).astype(np.float32)
    hu = np.where(lungs > 0, -860, 40).astype(np.float32)
    hu[:, 24, 16] = hu[:, 24, 48] = 30
    depth_mm = np.clip((1 - np.sqrt(away)) * 60, 0, None).astype(np.float32)
    return View(
        hu=hu, lungs=lungs, lesions=np.zeros_like(hu), depth_mm=depth_mm, spacing_mm=SPACING_MM
    )


@pytest.mark.parametrize("pattern", POSITIVES)
@pytest.mark.parametrize("seed", range(6))
def test_every_opacity_is_marked_dense_and_in_the_lungs(
    healthy: View, pattern: str, seed: int
) -> None:
    before = healthy.hu.copy()

    PAINTERS[pattern](healthy, np.random.default_rng(seed))

    lesion = healthy.lesions > 0
    assert 0.002 <= lesion.sum() / healthy.lungs.sum() <= 0.75
    assert not np.any(lesion & (healthy.lungs == 0))
    changed = (healthy.hu - before)[lesion & (before < -500)]
    assert changed.mean() > 80


@pytest.mark.parametrize("pattern", NEGATIVES)
def test_no_other_disease_is_marked(healthy: View, pattern: str) -> None:
    before = healthy.hu.copy()

    PAINTERS[pattern](healthy, np.random.default_rng(3))

    assert not healthy.lesions.any()
    assert (pattern == "healthy") == bool(np.array_equal(healthy.hu, before))


def test_vessels_stay_visible_through_ground_glass(healthy: View) -> None:
    vessel = (healthy.hu == 30) & (healthy.lungs > 0)

    PAINTERS["ground-glass"](healthy, np.random.default_rng(1))

    assert healthy.hu[vessel] == pytest.approx(30, abs=5)


def test_lobar_consolidation_keeps_to_one_lung(healthy: View) -> None:
    before = healthy.hu.copy()

    PAINTERS["lobar-consolidation"](healthy, np.random.default_rng(5))

    risen = [float(((healthy.hu - before) * side_of(healthy, side)).sum()) for side in range(2)]
    assert min(risen) == 0
    assert max(risen) > 0


def test_effusion_takes_lung_away_from_behind(healthy: View) -> None:
    lungs = healthy.lungs.copy()

    PAINTERS["effusion"](healthy, np.random.default_rng(2))

    lost = (lungs > 0) & (healthy.lungs == 0)
    assert lost.any()
    assert np.argwhere(lost)[:, 1].mean() > np.argwhere(healthy.lungs > 0)[:, 1].mean()
    assert -10 < np.median(healthy.hu[lost]) < 45
    assert not healthy.depth_mm[lost].any()


def test_the_same_seed_paints_the_same_case(healthy: View) -> None:
    twin = deepcopy(healthy)

    names = [paint_case(view, np.random.default_rng(8), positive=True) for view in (healthy, twin)]

    assert names[0] == names[1]
    assert np.array_equal(healthy.hu, twin.hu)
    assert np.array_equal(healthy.lesions, twin.lesions)


def test_twins_differ_by_the_opacities_alone(healthy: View) -> None:
    for seed in range(8):
        ill, well = deepcopy(healthy), deepcopy(healthy)
        own, shared = [np.random.default_rng([seed, part]) for part in (0, 1)]

        pattern = paint_twin(ill, own, shared, positive=True)
        disease = paint_twin(well, own, np.random.default_rng([seed, 1]), positive=False)

        assert pattern in POSITIVES
        assert disease in TWINS
        assert ill.lesions.any()
        assert not well.lesions.any()
        assert np.array_equal(ill.lungs, well.lungs)
        beyond = ndimage.maximum_filter(healthy.lungs, size=3) == 0
        assert np.array_equal(ill.hu[beyond], well.hu[beyond])
        assert (ill.hu - well.hu)[ill.lesions > 0].mean() > 50


@pytest.mark.parametrize("positive", [True, False])
def test_a_case_bears_the_name_of_its_class(healthy: View, positive: bool) -> None:
    for seed in range(12):
        view = deepcopy(healthy)

        pattern = paint_case(view, np.random.default_rng(seed), positive=positive)

        assert pattern in (POSITIVES if positive else NEGATIVES)
        assert bool(view.lesions.any()) is positive
        assert np.isfinite(view.hu).all()
        assert view.hu.dtype == view.lungs.dtype == view.depth_mm.dtype == np.float32


def test_lungs_must_be_there(healthy: View) -> None:
    healthy.lungs = np.zeros_like(healthy.lungs)

    with pytest.raises(ValueError, match="expected lung voxels"):
        paint_case(healthy, np.random.default_rng(0), positive=True)


def test_weights_are_chances() -> None:
    assert sum(POSITIVES.values()) == pytest.approx(1)
    assert sum(NEGATIVES.values()) == pytest.approx(1)
    assert sum(TWINS.values()) == pytest.approx(1)
    assert set(TWINS) < set(NEGATIVES)
    assert all(0 < chance < 1 for chance in BACKGROUND.values())


def test_flooding_is_linear_in_air() -> None:
    hu = np.array([-965.0, -465.0, 35.0, 400.0], np.float32)

    flood(hu, np.full(4, 0.5, np.float32), 35.0)

    assert hu.tolist() == [-465.0, -215.0, 35.0, 400.0]


@pytest.mark.parametrize("grain_mm", [1.0, 5.0, 40.0])
def test_noise_is_of_unit_strength_and_of_the_grain_asked_for(grain_mm: float) -> None:
    drawn = noise((20, 90, 100), (2.0, 1.0, 1.0), grain_mm, np.random.default_rng(4))

    assert drawn.std() == pytest.approx(1, rel=1e-3)
    neighbours = np.corrcoef(drawn[:, :, 1:].ravel(), drawn[:, :, :-1].ravel())[0, 1]
    assert (neighbours > 0.95) == (grain_mm >= 5)
    walls = net(drawn.shape, (2.0, 1.0, 1.0), grain_mm, np.random.default_rng(4))
    assert 0 <= walls.min() < 0.01
    assert walls.max() <= 1
