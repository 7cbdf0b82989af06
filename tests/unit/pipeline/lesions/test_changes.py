"""Dense changes of the lungs that are no lesion: a mass by the heart, patches without a vote."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.lesions.candidates import patches
from pipeline.lesions.changes import changes, solid_bodies
from pipeline.lesions.localise import MIN_LESION_MM3
from pipeline.lesions.region import Mask, Region
from pipeline.types import Change, Side

SHAPE = (30, 60, 90)
SPACING = (2.5, 2.0, 2.0)
AT = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1) * SPACING
HEART = np.s_[:, 10:40, 40:50]


def ball(place: tuple[int, int, int], radius_mm: float) -> Mask:
    inside: Mask = np.linalg.norm(AT - np.multiply(place, SPACING), axis=-1) < radius_mm
    return inside


def tube(row: int, column: int, radius_mm: float) -> Mask:
    away = AT[..., 1:] - np.multiply((row, column), SPACING[1:])
    inside: Mask = np.linalg.norm(away, axis=-1) < radius_mm
    return inside


def chest(*dense: tuple[Mask, int]) -> Region:
    """Two lungs at the sides of a heart, and within them what is given, of so many HU."""
    sides = np.ones(SHAPE, np.uint8)
    sides[..., 45:] = 2
    sides[HEART] = 0
    hu = np.full(SHAPE, -860, np.int16)
    hu[HEART] = 40
    for mask, value in dense:
        hu[mask & (sides > 0)] = value
    return Region(hu=hu, sides=sides, spacing_mm=SPACING)


def found_in(region: Region, lesions: Mask | None = None) -> tuple[Change, ...]:
    labels = np.zeros(SHAPE, np.uint8) if lesions is None else lesions.astype(np.uint8)
    bodies = solid_bodies(region)
    return changes(patches(region) | bodies, bodies, labels, region, MIN_LESION_MM3)


def test_a_mass_beside_the_heart_is_found_though_it_is_no_candidate() -> None:
    mass = ball((15, 25, 33), 10)
    region = chest((mass, 45))
    assert not patches(region)[mass].any()

    (one,) = found_in(region)

    assert one.solid
    assert one.side is Side.RIGHT
    assert one.voxel == pytest.approx((15, 25, 33), abs=2)
    assert one.volume_ml == pytest.approx(mass.sum() * 0.01, rel=0.35)


def test_vessels_are_no_change_though_they_are_as_wide() -> None:
    assert found_in(chest((tube(25, 34, 8), 45))) == ()


def test_a_patch_without_a_vote_is_a_change_and_a_lesion_is_none() -> None:
    patch = ball((10, 45, 70), 14)
    region = chest((patch, -500))

    (one,) = found_in(region)

    assert (one.solid, one.side) == (False, Side.LEFT)
    assert found_in(region, lesions=patches(region)) == ()


def test_the_largest_comes_first_and_specks_are_left_out() -> None:
    region = chest(
        (ball((10, 45, 70), 14), -500), (ball((15, 25, 15), 20), 45), (ball((20, 50, 20), 4), 45)
    )
    found = found_in(region)
    assert [one.solid for one in found] == [True, False]
    assert found[0].volume_ml > found[1].volume_ml


def test_lungs_without_anything_solid_have_no_change() -> None:
    assert found_in(chest()) == ()
