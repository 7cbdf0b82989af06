"""A lesion takes back the part that vessels and pleura had taken; vessels and rims stay out."""

from __future__ import annotations

import numpy as np

from pipeline.lesions.growth import REACH_MM, grown
from pipeline.lesions.region import Region

SHAPE = (6, 60, 80)
SPACING = (2.5, 1.5, 1.5)


def region_with(*dense: tuple[tuple[slice, ...], int]) -> Region:
    """One wide lung of the right side, without a mediastinum; within it what is given, HU."""
    hu = np.full(SHAPE, -860, np.int16)
    for place, value in dense:
        hu[place] = value
    return Region(
        hu=hu,
        sides=np.ones(SHAPE, np.uint8),
        spacing_mm=SPACING,
    )


def lesion_at(place: tuple[slice, ...], number: int = 1) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[place] = number
    return labels


def test_the_solid_half_of_an_opacity_comes_back() -> None:
    glass, solid = np.s_[1:5, 20:40, 20:40], np.s_[1:5, 20:40, 40:44]
    found = grown(lesion_at(glass), region_with((glass, -550), (solid, -100)))
    assert found[2, 26:34, 40:43].all()
    assert not found[:, :, 48:].any()
    assert not found[:, :15].any()


def test_it_grows_on_its_own_slices_and_not_beyond_its_reach() -> None:
    dense = np.s_[0:6, 20:40, 20:70]
    found = grown(lesion_at(np.s_[2:4, 20:40, 20:40]), region_with((dense, -500)))
    assert set(np.flatnonzero(found.any(axis=(1, 2)))) == {2, 3}
    columns = np.flatnonzero(found.any(axis=(0, 1)))
    assert 40 < columns.max() <= 39 + REACH_MM / SPACING[2]


def test_the_faded_edge_of_an_opacity_stays_out() -> None:
    glass, edge = np.s_[1:5, 20:40, 20:40], np.s_[1:5, 19:41, 19:41]
    labels = lesion_at(glass)
    assert (grown(labels, region_with((edge, -600), (glass, -550))) == labels).all()


def test_a_vessel_and_another_patch_stay_out() -> None:
    glass = np.s_[1:5, 20:40, 20:40]
    vessel, apart = np.s_[1:5, 29:31, 40:60], np.s_[1:5, 20:40, 43:55]
    labels = lesion_at(glass)
    found = grown(labels, region_with((glass, -550), (vessel, 50)))
    assert not found[:, :, 45:].any(), "but for its beginning"
    assert not grown(labels, region_with((glass, -550), (apart, -550)))[:, :, 43:].any()


def test_lesions_keep_their_numbers_and_lose_nothing() -> None:
    one, other = np.s_[1:5, 10:30, 10:30], np.s_[1:5, 10:30, 32:52]
    labels = lesion_at(one) + lesion_at(other, 2)
    found = grown(labels, region_with((np.s_[1:5, 10:30, 10:52], -550)))
    assert (found[labels > 0] == labels[labels > 0]).all()
    assert set(np.unique(found)) == {0, 1, 2}
    assert not grown(np.zeros(SHAPE, np.uint8), region_with()).any()
