"""Painted opacities have known masks, places and sizes, and are judged one by one."""

from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from pipeline.evaluation.localisation.painted import (
    AIR_REPLACED,
    APART_MM,
    DIAMETERS_MM,
    PLACES,
    Painted,
    paint,
    score,
    table,
)
from pipeline.types import CtVolume, LungMask

SHAPE = (70, 110, 130)
SPACING_MM = (2.5, 1.5, 1.5)


@cache
def chest() -> tuple[CtVolume, LungMask]:
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:-3, 5:-5, 5:60], labels[3:-3, 5:-5, 70:-5] = 1, 2
    volume = CtVolume(
        hu=np.where(labels > 0, -860, 40).astype(np.int16),
        affine=np.diag([*SPACING_MM, 1.0])[[2, 1, 0, 3]],
        frame_of_reference_uid="",
        source=(None,) * SHAPE[0],
    )
    return volume, LungMask(labels=labels, method="unet")


@cache
def painting(attenuation: str) -> tuple[CtVolume, np.ndarray, tuple[Painted, ...]]:
    return paint(*chest(), attenuation, np.random.default_rng(3))


@pytest.mark.parametrize("attenuation", AIR_REPLACED)
def test_each_size_is_painted_at_each_place_into_the_lungs_and_nowhere_else(
    attenuation: str,
) -> None:
    volume, lungs = chest()
    changed, labels, painted = painting(attenuation)

    assert {(p.diameter_mm, p.place) for p in painted} == {
        (mm, place) for mm in DIAMETERS_MM for place in PLACES
    }
    assert (lungs.labels[labels > 0] > 0).all()
    assert np.array_equal(changed.hu[lungs.labels == 0], volume.hu[lungs.labels == 0])
    largest = labels == 1
    expected = -860 + AIR_REPLACED[attenuation] * (35 + 860)
    assert np.median(changed.hu[largest]) == pytest.approx(expected, abs=30)
    across = (6 * np.count_nonzero(largest) * np.prod(SPACING_MM) / np.pi) ** (1 / 3)
    assert across == pytest.approx(DIAMETERS_MM[-1], rel=0.2)


def test_opacities_lie_apart() -> None:
    _, labels, painted = painting("ground glass")
    away = ndimage.distance_transform_edt(labels != 1, sampling=SPACING_MM)

    assert min(away[labels == p.number].min() for p in painted[1:]) > APART_MM / 2


def test_what_is_found_of_each_is_judged_without_what_was_there_before() -> None:
    _, labels, painted = painting("ground glass")
    before = np.zeros(SHAPE, np.bool_)
    before[ndimage.binary_dilation(labels == 1, iterations=2) & (labels == 0)] = True
    found = before | (labels == 1) | (labels == 2)
    found[tuple(np.argwhere(labels == 2)[0])] = False

    scores = list(score("c", painted, labels, found, before, SPACING_MM))

    assert (scores[0].found, scores[0].dice, scores[0].volume_ratio) == (True, 1, 1)
    assert scores[1].found
    assert 0.9 < scores[1].dice < 1
    assert (scores[2].found, scores[2].dice, scores[2].volume_ratio) == (False, 0, 0)
    head, _, *rows = table(scores)
    assert head.endswith("| 25 mm |")
    assert rows[2] == "| ground glass, inside | 0/1 | 0/1 | 0/1 | 0/1 | 1/1, 1.00, 1.00 |"
