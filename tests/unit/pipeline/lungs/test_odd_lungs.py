"""Lungs with fluid, free gas or parts lost are doubted by name, and sound ones are not.

Every case is painted into a phantom, and the telling ones into real series as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lungs.area_profile import one_sided_share, profile_of
from pipeline.lungs.chest_contents import behind_ml, gas_ml, outside_share
from pipeline.lungs.coarse_grid import Coarse, Spacing, coarsen
from pipeline.lungs.facts import facts_of
from pipeline.lungs.gates import agreement_of_each, doubts_of
from pipeline.lungs.segment import UNET, UNSUPERVISED, choose_method
from pipeline.lungs.unsupervised import segment_unsupervised
from pipeline.synthetic.phantom.build import BUILDS, BuildName
from pipeline.synthetic.phantom.make import Phantom, PhantomSpec, make_phantom
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG
from tests.support.samples.painted_lungs import (
    FLUID_HU,
    GAS_HU,
    Hu,
    airless,
    back,
    front,
    lower,
    painted,
    upper,
)
from tests.support.samples.real_series import real_series

SIZE = 128
SPACING: Spacing = (5.0, 360 / SIZE, 360 / SIZE)
REAL = ("covid-01", "cap-01", "normal-01", "tumour-01", "mass-01", "tumour-02")
Labels = NDArray[np.uint8]
Paint = Callable[[Hu, Labels], Hu]


@cache
def phantom(build: BuildName = "average") -> Phantom:
    return make_phantom(
        PhantomSpec(seed=310, slices=60, size=SIZE, spacing_mm=SPACING[0], build=build)
    )


def codes(labels: Labels, hu: Hu, spacing_mm: Spacing = SPACING) -> set[str]:
    return {str(doubt.code) for doubt in doubts_of(facts_of(labels, hu, spacing_mm))}


def fluid_behind(share: float, *sides: int) -> Paint:
    def paint(hu: Hu, lungs: Labels) -> Hu:
        for side in sides:
            hu = painted(hu, back(lungs == side, share), FLUID_HU)
        return hu

    return paint


def gas_in_front(hu: Hu, lungs: Labels) -> Hu:
    return painted(hu, front(lungs == LEFT_LUNG, 0.5), GAS_HU)


def gas_above(hu: Hu, lungs: Labels) -> Hu:
    return painted(hu, upper(lungs == RIGHT_LUNG, 0.33), GAS_HU)


def fluid_below(hu: Hu, lungs: Labels) -> Hu:
    return airless(hu, lower(lungs == LEFT_LUNG, 0.5))


def without_upper_lobe(hu: Hu, lungs: Labels) -> Hu:
    return airless(hu, upper(lungs == RIGHT_LUNG, 0.4))


def white_lung(hu: Hu, lungs: Labels) -> Hu:
    return airless(hu, lungs == LEFT_LUNG)


CASES = [
    pytest.param(white_lung, "lungs-one-only", id="white"),
    pytest.param(fluid_behind(0.5, LEFT_LUNG), "lungs-fluid", id="half an effusion"),
    pytest.param(fluid_behind(0.33, RIGHT_LUNG, LEFT_LUNG), "lungs-fluid", id="effusions"),
    pytest.param(fluid_below, "lungs-base", id="lower half without air"),
    pytest.param(without_upper_lobe, "lungs-apex", id="lobectomy"),
    pytest.param(gas_in_front, "lungs-free-gas", id="half a pneumothorax"),
    pytest.param(gas_above, "lungs-free-gas", id="apical pneumothorax"),
]


@pytest.mark.parametrize(("paint", "code"), CASES)
def test_a_chest_that_holds_something_else_is_doubted_by_name(paint: Paint, code: str) -> None:
    made = phantom()
    hu = paint(made.hu, made.lungs)

    found = codes(segment_unsupervised(hu, SPACING), hu)

    assert code in found
    assert found <= {code, "lungs-apex", "lungs-base", "lungs-free-gas"}


@pytest.mark.parametrize("build", BUILDS)
def test_sound_lungs_of_every_build_are_not_doubted(build: BuildName) -> None:
    made = phantom(build)

    assert codes(made.lungs, made.hu) == set()
    assert codes(segment_unsupervised(made.hu, SPACING), made.hu) == set()


def test_the_whole_of_a_lung_that_is_gas_is_doubted() -> None:
    made = phantom()
    hu = painted(made.hu, made.lungs == LEFT_LUNG, GAS_HU)

    assert "lungs-one-only" in codes(segment_unsupervised(hu, SPACING), hu)
    assert "lungs-free-gas" in codes(made.lungs, hu)


def test_gas_of_a_bowel_in_the_chest_is_no_lung() -> None:
    """In a hernia, or before the liver: left out by one method, doubted in a mask that has it."""
    made = phantom()
    places = np.nonzero(made.lungs == LEFT_LUNG)
    middle = [np.quantile(axis, share) for axis, share in zip(places, (0.3, 0.5, 0.4), strict=True)]
    away = np.sqrt(
        sum(
            ((axis - centre) * mm) ** 2
            for axis, centre, mm in zip(np.indices(made.hu.shape), middle, SPACING, strict=True)
        )
    )
    hu = painted(painted(made.hu, away < 42, 40), away < 38, -990)

    assert not segment_unsupervised(hu, SPACING)[away < 36].any()
    assert "lungs-free-gas" in codes(made.lungs, hu)


# Masks that have lost a part, or have too much


def lost(parts: NDArray[np.bool_]) -> Labels:
    return np.where(parts, 0, phantom().lungs).astype(np.uint8)


@pytest.mark.parametrize("side", [RIGHT_LUNG, LEFT_LUNG])
def test_a_dip_between_neighbouring_slices_is_noticed_on_either_side(side: int) -> None:
    """As an area of 1029, 321, 375 and 972 pixels in four slices that follow one another."""
    top = int(np.flatnonzero((phantom().lungs == side).any(axis=(1, 2)))[-1])
    parts = phantom().lungs == side
    parts[: top - 4] = parts[top - 2 :] = False
    labels = lost(parts & (np.indices(parts.shape)[1] % 3 > 0))

    assert codes(labels, phantom().hu) == {"lungs-profile"}


@pytest.mark.parametrize(("spared", "code"), [(slice(None, -5), "apex"), (slice(14, None), "base")])
def test_ends_that_both_lungs_lost_are_noticed(spared: slice, code: str) -> None:
    held = np.flatnonzero(phantom().lungs.any(axis=(1, 2)))
    parts = np.ones(phantom().lungs.shape, bool)
    parts[held[spared]] = False

    assert codes(lost(parts), phantom().hu) == {f"lungs-{code}"}


def test_ends_that_the_scan_leaves_out_are_no_loss_of_the_mask() -> None:
    held = np.flatnonzero(phantom().lungs.any(axis=(1, 2)))
    inside = slice(held[14], held[-6])

    assert codes(phantom().lungs[inside], phantom().hu[inside]) <= {"lungs-height"}


def test_an_apex_that_one_of_two_methods_lost_is_noticed() -> None:
    other = lost(upper(phantom().lungs == LEFT_LUNG, 0.09))

    (doubt,) = agreement_of_each(phantom().lungs, other, SPACING)
    assert (doubt.code, doubt.text[:9]) == ("lungs-methods-disagree", "left lung")
    assert agreement_of_each(phantom().lungs, phantom().lungs, SPACING) == ()
    opened = np.where(other > 0, 3, 0).astype(np.uint8)
    assert agreement_of_each(phantom().lungs, opened, SPACING) == ()


def test_of_two_methods_the_one_without_a_dip_is_chosen() -> None:
    parts = np.zeros(phantom().lungs.shape, bool)
    parts[40] = True
    coarse = coarsen(phantom().hu, SPACING)

    method, doubts = choose_method({UNET: lost(parts), UNSUPERVISED: phantom().lungs}, coarse)

    assert (method, doubts) == (UNSUPERVISED, ())


def test_air_beside_the_body_is_no_lung() -> None:
    labels = phantom().lungs.copy()
    outside = np.zeros(labels.shape, bool)
    outside[20:40, 45:85, :10] = True
    labels[outside & (phantom().hu < -900)] = RIGHT_LUNG

    assert "lungs-outside-body" in codes(labels, phantom().hu)


# The figures


def test_a_profile_is_measured_in_millimetres() -> None:
    lung = np.zeros((20, 40, 40), bool)
    lung[4:16, 5:35, 5:35] = True
    lung[9, 5:20] = False

    found = profile_of(lung, (2.0, 2.0, 2.0))

    assert (found.bottom_mm, found.top_mm) == (8, 30)
    assert found.dip == pytest.approx(0.5)
    assert found.top_mm2 == found.bottom_mm2 == 30 * 30 * 4 - 2 * 400
    assert profile_of(lung[4:16], (2.0, 2.0, 2.0)).top_mm2 == 0


def test_a_tapering_end_is_no_dip_and_not_wide() -> None:
    lung = np.zeros((30, 60, 60), bool)
    for at in range(2, 28):
        lung[at, : 2 * min(at, 29 - at) + 2, :40] = True

    found = profile_of(lung, (2.5, 1.5, 1.5))

    assert (found.dip, found.top_mm2, found.bottom_mm2) == (0, 0, 0)


def test_what_lies_behind_a_lung_is_measured_to_the_ribs() -> None:
    hu = np.full((6, 60, 80), 20, np.int16)
    hu[:, 50:52] = 400
    lung = np.zeros(hu.shape, bool)
    lung[:, 10:45, 5:25] = True
    close = behind_ml(lung, hu, 60.0, (5.0, 2.0, 2.0))
    lung[:, 30:] = False

    assert close == 0
    expected = 6 * 5 * 20 * 2 * (50 - 30) * 2 / 1000
    assert behind_ml(lung, hu, 60.0, (5.0, 2.0, 2.0)) == pytest.approx(expected)
    assert behind_ml(lung, hu, 15.0, (5.0, 2.0, 2.0)) == 0


def test_free_gas_is_measured_and_noise_in_lung_is_not() -> None:
    noise = np.random.default_rng(2).normal(0, 40, (12, 60, 60))
    hu = (-870 + noise).astype(np.int16)
    lung = np.ones(hu.shape, bool)
    assert gas_ml(lung, hu, (5.0, 2.0, 2.0)) < 1

    hu[:, 10:40, 10:40] = -1000

    assert gas_ml(lung, hu, (5.0, 2.0, 2.0)) == pytest.approx(12 * 30 * 30 * 20 / 1000, rel=0.15)


def test_what_is_found_outside_all_tissue_is_a_share() -> None:
    hu = np.full((3, 20, 20), -1000, np.int16)
    hu[:, 5:15, 5] = hu[:, 5:15, 14] = hu[:, 5, 5:15] = hu[:, 14, 5:15] = 40
    mask = np.zeros(hu.shape, bool)
    mask[:, 8:10, 8:10] = True
    assert outside_share(mask, hu) == 0

    mask[:, 8:10, 0:2] = True

    assert outside_share(mask, hu) == 0.5


def test_masks_are_compared_piece_by_piece() -> None:
    mask = np.zeros((40, 30, 30), bool)
    mask[4:36] = True
    short = mask.copy()
    short[30:] = False

    assert one_sided_share(mask, mask, (2.0, 2.0, 2.0)) == 0
    assert one_sided_share(mask, short, (2.0, 2.0, 2.0)) > 0.5
    assert one_sided_share(mask, short, (2.0, 0.1, 0.1)) == 0


# Real series


@cache
def real(name: str) -> tuple[Coarse, Labels]:
    """A shared series at half its slices, and its lungs by the threshold."""
    hu, (z, y, x) = real_series(name)
    thin = 2 if z < 3 else 1
    coarse = coarsen(np.ascontiguousarray(hu[::thin]), (z * thin, y, x))
    return coarse, segment_unsupervised(coarse.hu, coarse.spacing_mm)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_lungs_are_not_doubted(name: str) -> None:
    coarse, lungs = real(name)

    assert codes(lungs, coarse.hu, coarse.spacing_mm) == set()


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(("paint", "code"), CASES)
def test_what_is_painted_into_a_real_chest_is_doubted_by_name(paint: Paint, code: str) -> None:
    coarse, lungs = real("normal-01")
    hu = paint(coarse.hu, lungs)

    assert code in codes(segment_unsupervised(hu, coarse.spacing_mm), hu, coarse.spacing_mm)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("lies", [np.s_[:, ::-1, ::-1], np.s_[::-1, :, ::-1]])
def test_a_real_patient_who_lies_otherwise_than_said_has_no_sides(lies: tuple[slice, ...]) -> None:
    coarse, _ = real("mass-01")
    hu = np.ascontiguousarray(coarse.hu[lies])

    labels = segment_unsupervised(hu, coarse.spacing_mm)

    assert set(np.unique(labels)) == {0, LUNG_OF_OPEN_SIDE}


@pytest.mark.real
@pytest.mark.slow
def test_apices_lost_from_real_lungs_are_noticed() -> None:
    coarse, lungs = real("cap-01")
    both = ndimage.binary_erosion(lungs > 0, np.ones((1, 3, 3)))
    short = np.where(upper(both, 0.07), 0, lungs).astype(np.uint8)
    dented = lungs.copy()
    top = int(np.flatnonzero((lungs == LEFT_LUNG).any(axis=(1, 2)))[-1])
    dented[top - 4 : top - 2][:, ::3] = dented[top - 4 : top - 2][:, 1::3] = 0

    assert "lungs-profile" in codes(dented, coarse.hu, coarse.spacing_mm)
    assert len(agreement_of_each(short, lungs, coarse.spacing_mm)) == len((RIGHT_LUNG, LEFT_LUNG))
