"""Lobes are told apart by fissures that are there, and by no others."""

import numpy as np
import pytest

from pipeline.lobar_extent import Fissure, Lobe
from pipeline.lobes.divide import lobar_extent
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG, LungMask
from tests.support.samples.chest_with_lobes import ALL, MM, SHAPE, Labels, chest, lungs, truth


def mask(labels: Labels) -> LungMask:
    return LungMask(labels=labels, method="unet")


@pytest.fixture(scope="module")
def labels() -> Labels:
    return lungs()


def test_each_lobe_is_measured_with_what_is_opaque_in_it(labels: Labels) -> None:
    lobes, opaque = truth(labels), np.zeros(SHAPE, np.uint8)
    deep = lobes == 3
    deep[35:] = False
    opaque[deep] = 1

    found = lobar_extent(chest(labels, sheets=ALL), mask(labels), opaque)

    voxel_ml = np.prod(MM) / 1000
    assert [one.lobe for one in found.lobes] == list(Lobe)
    for number, one in enumerate(found.lobes, start=1):
        assert one.volume_ml == pytest.approx((lobes == number).sum() * voxel_ml, rel=0.08)
    shares = {one.lobe: one.share for one in found.lobes}
    assert shares[Lobe.RIGHT_LOWER] == pytest.approx(deep.sum() / (lobes == 3).sum(), abs=0.03)
    assert all(shares[lobe] < 0.02 for lobe in Lobe if lobe is not Lobe.RIGHT_LOWER)
    assert found.unseen == ()


def test_lobes_whose_fissure_is_not_there_are_not_given(labels: Labels) -> None:
    found = lobar_extent(
        chest(labels, sheets=frozenset({(4, 5)})), mask(labels), np.zeros(SHAPE, np.uint8)
    )

    assert [one.lobe for one in found.lobes] == [Lobe.LEFT_UPPER, Lobe.LEFT_LOWER]
    assert found.unseen == (Fissure.RIGHT_OBLIQUE,)
    assert found.severity is None


def test_the_lower_lobe_is_given_without_the_horizontal_fissure(labels: Labels) -> None:
    found = lobar_extent(
        chest(labels, sheets=ALL - {(1, 2)}), mask(labels), np.zeros(SHAPE, np.uint8)
    )

    assert Lobe.RIGHT_LOWER in {one.lobe for one in found.lobes}
    assert not {Lobe.RIGHT_UPPER, Lobe.RIGHT_MIDDLE} & {one.lobe for one in found.lobes}
    assert found.unseen == (Fissure.RIGHT_HORIZONTAL,)


def test_lungs_that_are_not_told_apart_have_no_lobes(labels: Labels) -> None:
    one = np.where(labels == RIGHT_LUNG, LUNG_OF_OPEN_SIDE, labels).astype(np.uint8)

    found = lobar_extent(chest(labels, sheets=ALL), mask(one), np.zeros(SHAPE, np.uint8))

    assert (found.lobes, found.fissures) == ((), ())


def test_a_lung_alone_has_its_lobes(labels: Labels) -> None:
    left = np.where(labels == LEFT_LUNG, LEFT_LUNG, 0).astype(np.uint8)

    found = lobar_extent(chest(labels, sheets=ALL), mask(left), np.zeros(SHAPE, np.uint8))

    assert [one.lobe for one in found.lobes] == [Lobe.LEFT_UPPER, Lobe.LEFT_LOWER]
    assert found.severity is None
