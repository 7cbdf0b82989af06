"""Lesions are dense patches that the activation supports; vessels and rims are not."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.classifier.activation import stretch
from pipeline.lesions.localise import MAX_LESIONS, localise
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


def find(hu: np.ndarray, lungs: np.ndarray, heat: np.ndarray) -> np.ndarray:
    volume = CtVolume(
        hu=hu,
        affine=np.diag([*SPACING_MM, 1.0])[[2, 1, 0, 3]],
        frame_of_reference_uid="",
        source=(None,) * SHAPE[0],
    )
    return localise(volume, LungMask(labels=lungs, method="unsupervised"), heat)


def heat_at(*where: np.ndarray) -> np.ndarray:
    heat: np.ndarray = ndimage.gaussian_filter(np.any(where, axis=0).astype(np.float32), (2, 5, 5))
    return heat


LARGE, SMALL = ball((12, 60, 35), 11), ball((28, 40, 95), 8)


def test_supported_opacities_are_found_largest_first() -> None:
    hu, lungs = chest()
    hu[LARGE], hu[SMALL] = -500, -450

    labels = find(hu, lungs, heat_at(LARGE, SMALL))

    assert set(np.unique(labels)) == {0, 1, 2}
    for number, truth in ((1, LARGE), (2, SMALL)):
        found = labels == number
        dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
        assert dice > 0.8


def test_opacity_without_activation_is_left_out() -> None:
    hu, lungs = chest()
    hu[LARGE], hu[SMALL] = -500, -450

    labels = find(hu, lungs, heat_at(SMALL))

    assert labels.max() == 1
    assert not (labels > 0)[LARGE].any()


def test_extensive_disease_is_found_whole() -> None:
    hu, lungs = chest()
    half = lungs > 0
    half[:, :60] = False  # all of the back of both lungs
    hu[half] = -450

    labels = find(hu, lungs, heat_at(half))

    assert ((labels > 0) & half).sum() > 0.9 * half.sum()


def test_no_activation_no_lesion() -> None:
    hu, lungs = chest()
    hu[LARGE] = -500

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
