"""Lesions are dense patches that the activation supports; vessels and rims are not."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.classifier.activation import stretch
from pipeline.lesions.localise import (
    MAX_LESIONS,
    Localised,
    chosen,
    dense_lung,
    localise,
    number,
    top,
)
from pipeline.lesions.region import Region, doubled, gaussian, half
from pipeline.types import CtVolume, LungMask

SHAPE = (40, 120, 130)
SPACING_MM = (2.0, 0.75, 0.75)


def chest() -> tuple[np.ndarray, np.ndarray]:
    """Aerated block of lung with walls of muscle, 6 ml of noise-free parenchyma per slice."""
    hu = np.full(SHAPE, 40, np.int16)
    lungs = np.zeros(SHAPE, np.uint8)
    lungs[2:38, 10:110, 10:64] = 1
    lungs[2:38, 10:110, 66:120] = 2
    hu[lungs > 0] = -860
    return hu, lungs


def ball(centre: tuple[int, int, int], radius_mm: float) -> np.ndarray:
    where = np.indices(SHAPE)
    away = sum(
        ((axis - c) * mm) ** 2 for axis, c, mm in zip(where, centre, SPACING_MM, strict=True)
    )
    inside: np.ndarray = away < radius_mm**2
    return inside


def search(
    hu: np.ndarray, lungs: np.ndarray, heat: np.ndarray, slice_mm: float = SPACING_MM[0]
) -> Localised:
    volume = CtVolume(
        hu=hu,
        affine=np.diag([slice_mm, *SPACING_MM[1:], 1.0])[[2, 1, 0, 3]],
        frame_of_reference_uid="",
        source=(None,) * len(hu),
    )
    mask = LungMask(labels=lungs, method="unsupervised")
    return localise(dense_lung(volume, mask), mask, heat)


def find(hu: np.ndarray, lungs: np.ndarray, heat: np.ndarray) -> np.ndarray:
    return search(hu, lungs, heat).labels


def heat_at(*where: np.ndarray) -> np.ndarray:
    heat: np.ndarray = ndimage.gaussian_filter(np.any(where, axis=0).astype(np.float32), (2, 5, 5))
    return heat


LARGE, SMALL = ball((12, 60, 35), 11), ball((28, 40, 95), 8)
LONG = ball((12, 45, 35), 9) | ball((12, 60, 35), 9) | ball((12, 75, 35), 9)  # not round


def test_supported_opacities_are_found_largest_first() -> None:
    hu, lungs = chest()
    hu[LARGE], hu[SMALL] = -500, -450

    labels = find(hu, lungs, heat_at(LARGE, SMALL))

    assert set(np.unique(labels)) == {0, 1, 2}
    for label, truth in ((1, LARGE), (2, SMALL)):
        found = labels == label
        dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
        assert dice > 0.8


def test_thin_slices_have_the_opacities_of_the_thick_ones_that_they_make() -> None:
    hu, lungs = chest()
    hu[LARGE], hu[np.roll(LONG, (14, 60), axis=(0, 2))] = -500, -450
    heat = heat_at(LARGE)

    thick = search(hu, lungs, heat, 1.5)
    thin = search(*(np.repeat(each, 3, axis=0)[:-1] for each in (hu, lungs, heat)), 0.5)

    assert set(np.unique(thick.labels)) == {0, 1}
    assert (thin.labels == thick.labels.repeat(3, axis=0)[:-1]).all()
    (change,), (of_thick,) = thin.changes, thick.changes
    assert change.volume_ml == pytest.approx(of_thick.volume_ml)
    assert change.voxel == (3 * of_thick.voxel[0] + 1, *of_thick.voxel[1:])


def test_opacity_without_activation_is_left_out() -> None:
    hu, lungs = chest()
    hu[LONG], hu[SMALL] = -500, -450

    labels = find(hu, lungs, heat_at(SMALL))

    assert labels.max() == 1
    assert not (labels > 0)[LONG].any()


def test_round_ground_glass_within_the_lung_is_found_without_activation() -> None:
    hu, lungs = chest()
    hu[LARGE], hu[SMALL] = -500, 0  # the other is solid, as vessels are
    at_edge = ball((28, 18, 35), 9)  # its rim is filled by half by the wall
    hu[at_edge & (lungs > 0)] = -500

    labels = find(hu, lungs, np.zeros(SHAPE, np.float32))

    assert labels.max() == 1
    assert (labels > 0)[LARGE].mean() > 0.8


def test_extensive_disease_is_found_whole() -> None:
    hu, lungs = chest()
    half = lungs > 0
    half[:, :60] = False  # all of the back of both lungs
    hu[half] = -450

    labels = find(hu, lungs, heat_at(half))

    assert ((labels > 0) & half).sum() > 0.9 * half.sum()


def test_no_activation_no_lesion() -> None:
    hu, lungs = chest()
    hu[LONG] = -500

    assert not find(hu, lungs, np.zeros(SHAPE, np.float32)).any()


def test_vessels_are_no_lesions() -> None:
    hu, lungs = chest()
    hu[:, 58:63, 33:38] = 40  # 4 mm across, along the body
    hu[19:21, 20:100, 90:95] = 40  # and in the plane

    labels = find(hu, lungs, heat_at(hu == 40) * (lungs > 0))

    assert not labels.any()


def test_lesions_lie_within_the_lungs() -> None:
    hu, lungs = chest()
    edge = ball((20, 60, 12), 12)  # reaches into the wall
    hu[edge] = -400

    labels = find(hu, lungs, heat_at(edge))

    assert labels.any()
    assert not labels[lungs == 0].any()


def test_labels_never_exceed_what_a_byte_holds() -> None:
    assert MAX_LESIONS < 256


def test_stretch_is_0_to_1_over_the_lungs_and_0_outside() -> None:
    values = np.array([[[9.0, 2.0, 4.0, 6.0]]], np.float32)
    lungs = np.array([[[False, True, True, True]]])

    assert stretch(values, lungs).ravel() == pytest.approx([0, 0, 0.5, 1])
    assert not stretch(np.ones((1, 1, 3), np.float32), np.ones((1, 1, 3), np.bool_)).any()


def region(hu: np.ndarray, spacing_mm: tuple[float, float, float]) -> Region:
    """A region that is lung throughout."""
    return Region(hu=hu.astype(np.int16), sides=np.ones(hu.shape, np.uint8), spacing_mm=spacing_mm)


def test_half_resolution_has_twice_the_distances_and_the_means_of_four() -> None:
    hu = np.arange(2 * 5 * 6).reshape(2, 5, 6).astype(np.int16) * 4
    lungs = hu > 40

    found = half(hu, lungs.astype(np.uint8), (2.0, 0.6, 0.9))

    assert found.spacing_mm == (2.0, 1.2, 1.8)
    assert found.hu.shape == found.lungs.shape == (2, 3, 3)
    assert found.hu[1, 1, 2] == hu[1, 2:4, 4:6].mean()
    assert found.hu[0, 2, 0] == hu[0, 4, :2].mean()  # the last row is repeated
    assert found.lungs[0, 1, 1] == lungs[0, 2, 2]
    again = doubled(np.arange(18).reshape(2, 3, 3).astype(np.uint8), (2, 5, 5))
    assert again.shape == (2, 5, 5)
    assert again[1, 2, 4] == 14


@pytest.mark.parametrize(
    ("active", "seconded", "expected"),
    [(0.5, False, True), (0.4, False, False), (0.4, True, True), (0.2, True, True),
     (0.1, True, False)],
)  # fmt: skip
def test_half_of_a_lesion_is_active_or_a_fifth_with_a_second_vote(
    active: float, seconded: bool, expected: bool
) -> None:
    candidate = np.zeros((20, 20, 20), np.bool_)
    candidate[5:15, 5:10, 5:7] = True  # 100 voxels of 10 mm3
    heat = np.zeros(candidate.shape)
    heat[15 - round(10 * active) : 15, 5:10, 5:7] = 1
    second = np.zeros(candidate.shape, np.bool_)
    second[5, 5, 5] = seconded

    found = chosen(candidate, second, region(np.zeros(candidate.shape), (2.5, 2.0, 2.0)), heat)

    assert np.array_equal(found > 0, candidate & expected)


@pytest.mark.parametrize(("voxels", "expected"), [(50, True), (49, False)])
def test_the_smallest_lesion_has_500_cubic_millimetres(voxels: int, expected: bool) -> None:
    candidate = np.zeros((12, 12, 12), np.bool_)
    candidate[2, 2:7, 1:11] = True
    candidate[2, 6, 1 : 51 - voxels] = False
    everywhere = region(np.zeros(candidate.shape), (2.0, 1.0, 5.0))
    heat = candidate.astype(np.float32)

    assert chosen(candidate, candidate, everywhere, heat).any() == expected


def test_smoothing_reaches_as_many_millimetres_along_every_axis() -> None:
    point = np.zeros((41, 41, 41))
    point[20, 20, 20] = 1
    smooth = gaussian(point, 3.0, (1.0, 2.0, 3.0)).astype(float)
    away = (np.indices(point.shape) - 20).reshape(3, -1) * np.array([[1.0], [2.0], [3.0]])
    spread = np.sqrt((away**2 @ smooth.ravel()) / smooth.sum())
    assert spread == pytest.approx([2.8] * 3, abs=0.15)  # cut off at two standard deviations


def test_the_top_activation_grows_with_what_is_dense() -> None:
    heat = np.linspace(0, 1, 1000).reshape(10, 10, 10)
    lungs = region(np.zeros(heat.shape), (1.0, 1.0, 1.0))
    for dense, expected in ((0, 0.1), (20, 0.1), (200, 0.4), (900, 0.6)):
        candidates = np.arange(1000).reshape(heat.shape) < dense
        assert top(lungs, candidates, heat).mean() == pytest.approx(expected, abs=2e-3)


def test_what_is_dense_lies_above_the_lungs_own_aerated_part() -> None:
    for aerated, expected in ((-900, -700), (-860, -700), (-700, -540)):
        flat = region(np.full((2, 2, 2), aerated), (1, 1, 1))
        assert (flat.floor_hu == expected).all()


def test_lesions_are_numbered_by_size_and_no_more_than_fit() -> None:
    labels = np.zeros((3, 100, 100), np.intp)
    labels[0].flat[: MAX_LESIONS + 5] = np.arange(1, MAX_LESIONS + 6)
    labels[1, :2, :] = 7
    labels[1, 3, :] = 250

    numbered = number(labels, region(labels, (1.0, 1.0, 1.0)))

    assert numbered[1, 0, 0] == 1
    assert numbered[1, 3, 0] == 2
    assert numbered.max() == MAX_LESIONS
    assert (numbered[0] > 0).sum() == MAX_LESIONS
