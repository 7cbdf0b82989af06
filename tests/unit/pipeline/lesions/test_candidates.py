"""Hila, edges and the gradient of the lungs are no lesions; the rim of a lesion is of it."""

import numpy as np
import pytest

from pipeline.lesions.candidates import patches
from pipeline.lesions.region import doubled, half

SHAPE = (40, 120, 150)
SPACING_MM = (2.5, 1.0, 1.0)
RIGHT, LEFT = slice(10, 60), slice(90, 140)  #: columns of the lungs, 30 mm apart


def chest() -> tuple[np.ndarray, np.ndarray]:
    """Two blocks of aerated lung, muscle around and between."""
    hu, lungs = np.full(SHAPE, 40, np.int16), np.zeros(SHAPE, np.uint8)
    lungs[2:38, 10:110, RIGHT], lungs[2:38, 10:110, LEFT] = 1, 2
    hu[lungs > 0] = -860
    return hu, lungs


def ball(centre: tuple[int, int, int], radius_mm: float) -> np.ndarray:
    away = sum(
        ((axis - c) * mm) ** 2
        for axis, c, mm in zip(np.indices(SHAPE), centre, SPACING_MM, strict=True)
    )
    inside: np.ndarray = away < radius_mm**2
    return inside


def find(
    hu: np.ndarray, lungs: np.ndarray, spacing_mm: tuple[float, float, float] = SPACING_MM
) -> np.ndarray:
    """Candidates at full resolution."""
    found = patches(half(hu.astype(np.int16), lungs, spacing_mm))
    full: np.ndarray = (doubled(found.view(np.uint8), SHAPE) > 0) & (lungs > 0)
    return full


@pytest.mark.parametrize("attenuation", [-550, 0])
def test_a_lesion_at_the_pleura_is_marked_up_to_it(attenuation: int) -> None:
    hu, lungs = chest()
    lesion = ball((20, 60, 12), 12) & (lungs > 0)
    hu[lesion] = attenuation
    hu[:, :, 10][lesion[:, :, 10]] = (attenuation + 40) // 2  # half of a voxel is chest wall

    found = find(hu, lungs)

    assert (found & lesion)[:, :, 10:13].sum() > 0.9 * lesion[:, :, 10:13].sum()
    assert found.sum() == pytest.approx(lesion.sum(), rel=0.12)


def test_a_wide_vessel_is_one_at_the_hilum_and_consolidation_elsewhere() -> None:
    hu, lungs = chest()
    at_hilum = ball((20, 60, 49), 10)
    outside = ball((20, 60, 22), 10)
    for lump in (at_hilum, outside):
        hu[lump] = 40

    found = find(hu, lungs)

    assert not (found & at_hilum).any()
    assert (found & outside).sum() > 0.6 * outside.sum()


def test_a_thick_slice_that_the_diaphragm_fills_by_half_is_no_lesion() -> None:
    hu, lungs = chest()
    hu[2, 40:80, 20:45] = -400

    assert not find(hu, lungs, (5.0, 1.0, 1.0)).any()


def test_the_gradient_of_the_lungs_is_no_lesion_but_what_stands_out_from_it_is() -> None:
    hu, lungs = chest()
    sloping = -860 + 200 * np.clip((np.arange(SHAPE[1]) - 80) / 30, 0, 1)[None, :, None]
    hu = np.where(lungs > 0, sloping, hu)

    assert not find(hu, lungs).any()

    lesion = ball((20, 95, 35), 10)
    hu[lesion] = -450
    found = find(hu, lungs)

    assert 2 * (found & lesion).sum() / (found.sum() + lesion.sum()) > 0.8


def test_lungs_of_which_most_is_diseased_do_not_hide_it() -> None:
    hu, lungs = chest()
    diseased = (lungs > 0) & (np.arange(SHAPE[1])[None, :, None] > 45)  # two thirds
    hu[diseased] = -450

    found = find(hu, lungs)

    assert (found & diseased).sum() > 0.9 * diseased.sum()
