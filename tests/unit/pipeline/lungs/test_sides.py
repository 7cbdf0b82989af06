"""Sides come from the body: no lung is cut in two, and what is unclear stays open."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lungs.airways import airways_of
from pipeline.lungs.coarse_grid import Spacing, coarsen
from pipeline.lungs.facts import facts_of
from pipeline.lungs.gates import dice, doubts_of
from pipeline.lungs.midline import middle_of_body, middle_of_trachea, spine_is_in_front
from pipeline.lungs.segment import lungs_of_mask, orientation_doubts
from pipeline.lungs.sides import sides_of
from pipeline.lungs.unsupervised import segment_unsupervised
from pipeline.synthetic.phantom.build import BUILDS, BuildName
from pipeline.synthetic.phantom.make import Phantom, PhantomSpec, make_phantom
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG

SIZE = 128
SPACING: Spacing = (5.0, 360 / SIZE, 360 / SIZE)
BLOCKS: Spacing = (5.0, 2.0, 2.0)
MIDDLE = 60.0  #: column between the blocks
RIGHT, LEFT = slice(10, 56), slice(64, 110)
FLUID_HU = 15


def blocks(*columns: slice) -> NDArray[np.bool_]:
    lungs = np.zeros((30, 80, 120), bool)
    for across in columns:
        lungs[3:27, 10:70, across] = True
    return lungs


def phantom(seed: int = 906, build: BuildName = "average") -> Phantom:
    return make_phantom(
        PhantomSpec(seed=seed, slices=56, size=SIZE, spacing_mm=SPACING[0], build=build)
    )


def filled_with_fluid(made: Phantom, gone: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Paint fluid where a lung was, airways and pleura of it too."""
    where = ndimage.binary_dilation(gone, iterations=2) & (made.hu < -100)
    noise = np.random.default_rng(1).normal(FLUID_HU, 12, made.hu.shape)
    return np.where(where, noise, made.hu).astype(np.int16)


# Blocks


@pytest.mark.parametrize("bridge", [0, 2, 6])
def test_touching_lungs_are_cut_between_them(bridge: int) -> None:
    lungs = blocks(RIGHT, LEFT)
    lungs[10:20, 30 : 30 + bridge, 56:64] = True

    sides = sides_of(lungs, [MIDDLE], BLOCKS)

    assert (sides[..., :56][lungs[..., :56]] == RIGHT_LUNG).all()
    assert (sides[..., 64:][lungs[..., 64:]] == LEFT_LUNG).all()
    assert ((sides > 0) == lungs).all()


def test_specks_are_dropped() -> None:
    lungs = blocks(RIGHT, LEFT)
    lungs[0, 0:3, 0:3] = True

    assert not sides_of(lungs, [MIDDLE], BLOCKS)[0].any()


def test_air_between_the_lungs_is_dropped() -> None:
    lungs = blocks(slice(10, 50), slice(70, 110))
    lungs[10:25, 30:45, 56:64] = True

    sides = sides_of(lungs, [MIDDLE], BLOCKS)

    assert not sides[..., 50:70].any()
    assert set(np.unique(sides)) == {0, RIGHT_LUNG, LEFT_LUNG}


@pytest.mark.parametrize(
    ("columns", "side"),
    [
        (RIGHT, RIGHT_LUNG),
        (LEFT, LEFT_LUNG),
        (slice(10, 68), RIGHT_LUNG),  # grown across the middle by 14 %
        (slice(52, 110), LEFT_LUNG),
    ],
)
def test_a_lung_that_is_alone_is_not_cut_in_two(columns: slice, side: int) -> None:
    lungs = blocks(columns)

    sides = sides_of(lungs, [MIDDLE], BLOCKS)

    assert (sides[lungs] == side).all()


def test_a_small_lung_keeps_its_side_and_the_large_one_stays_whole() -> None:
    lungs = blocks(RIGHT)
    lungs[3:8, 10:30, LEFT] = True

    sides = sides_of(lungs, [MIDDLE], BLOCKS)

    assert (sides[..., RIGHT][lungs[..., RIGHT]] == RIGHT_LUNG).all()
    assert (sides[..., LEFT][lungs[..., LEFT]] == LEFT_LUNG).all()


def test_lobes_of_one_lung_that_lie_apart_are_of_one_side() -> None:
    lungs = blocks(LEFT)
    lungs[14:16] = False

    assert set(np.unique(sides_of(lungs, [MIDDLE], BLOCKS))) == {0, LEFT_LUNG}


@pytest.mark.parametrize("middles", [[MIDDLE], []])
def test_what_does_not_part_stays_open(middles: list[float]) -> None:
    lungs = blocks(slice(10, 110))

    assert (sides_of(lungs, middles, BLOCKS)[lungs] == LUNG_OF_OPEN_SIDE).all()


def test_middles_that_contradict_one_another_leave_the_side_open() -> None:
    lungs = blocks(slice(30, 90))

    assert (sides_of(lungs, [25.0, 95.0], BLOCKS)[lungs] == LUNG_OF_OPEN_SIDE).all()


# Bodies


@pytest.mark.parametrize("build", BUILDS)
def test_the_spine_and_the_trachea_lie_between_the_lungs(build: BuildName) -> None:
    made = phantom(build=build)
    middle = middle_of_body(made.hu, SPACING)
    assert middle is not None
    trachea = middle_of_trachea(airways_of(made.hu, made.lungs > 0, middle, SPACING))

    for column in (middle, trachea or middle):
        right = made.lungs[..., : round(column)] == RIGHT_LUNG
        assert right.sum() > 0.7 * (made.lungs == RIGHT_LUNG).sum()
        left = made.lungs[..., round(column) :] == LEFT_LUNG
        assert left.sum() > 0.7 * (made.lungs == LEFT_LUNG).sum()


def test_a_body_without_a_spine_has_its_middle_where_its_tissue_has() -> None:
    hu = np.full((5, 40, 100), -1000, np.int16)
    hu[:, 5:35, 30:90] = 40

    assert middle_of_body(hu, BLOCKS) == pytest.approx(60, abs=1)
    assert middle_of_body(np.full_like(hu, -1000), BLOCKS) is None


@pytest.mark.parametrize("build", ["average", "barrel", "scoliotic"])
@pytest.mark.parametrize("gone", [RIGHT_LUNG, LEFT_LUNG])
def test_the_lung_that_is_left_has_its_own_side_and_is_doubted(gone: int, build: BuildName) -> None:
    made = phantom(build=build)
    hu = filled_with_fluid(made, made.lungs == gone)
    stays = RIGHT_LUNG + LEFT_LUNG - gone

    by_threshold = segment_unsupervised(hu, SPACING)
    by_mask = lungs_of_mask(made.lungs == stays, coarsen(hu, SPACING))

    for labels in (by_threshold, by_mask):
        assert set(np.unique(labels)) == {0, stays}
        assert dice(labels == stays, made.lungs == stays) > 0.95
        assert "lungs-one-only" in {d.code for d in doubts_of(facts_of(labels, hu, SPACING))}


def test_lungs_that_are_one_across_the_middle_are_doubted() -> None:
    made = phantom()
    middle = middle_of_body(made.hu, SPACING)
    assert middle is not None
    between = np.zeros(made.hu.shape, bool)
    between[12:44, 30:90, round(middle) - 22 : round(middle) + 22] = True
    hu = np.where(between & (made.hu < 200), -850, made.hu).astype(np.int16)

    labels = lungs_of_mask((made.lungs > 0) | between, coarsen(hu, SPACING))

    assert LUNG_OF_OPEN_SIDE in labels
    assert "lungs-side-open" in {d.code for d in doubts_of(facts_of(labels, hu, SPACING))}


# Orientation


AS_SAID = np.s_[:, :, :]
PRONE_SAID_SUPINE = np.s_[:, ::-1, ::-1]
FEET_FIRST_SAID_HEAD_FIRST = np.s_[::-1, :, ::-1]


@pytest.mark.parametrize(
    ("lies", "codes"),
    [
        (AS_SAID, []),
        (PRONE_SAID_SUPINE, ["orientation"]),
        (FEET_FIRST_SAID_HEAD_FIRST, ["orientation"]),
    ],
)
def test_a_patient_who_lies_otherwise_than_said_has_no_sides(
    lies: tuple[slice, ...], codes: list[str]
) -> None:
    hu = np.ascontiguousarray(phantom().hu[lies])

    labels = segment_unsupervised(hu, SPACING)

    assert [doubt.code for doubt in orientation_doubts(labels, coarsen(hu, SPACING))] == codes
    sides = {LUNG_OF_OPEN_SIDE} if codes else {RIGHT_LUNG, LEFT_LUNG}
    assert set(np.unique(labels)) == {0} | sides


def test_contrast_medium_in_the_heart_is_no_spine() -> None:
    hu = np.full((20, 80, 120), -1000, np.int16)
    hu[:, 5:75, 5:115] = 40
    hu[:, 55:70, 55:65] = 250
    hu[4:16, 12:36, 60:100] = 380
    trachea = np.zeros(hu.shape, bool)
    trachea[10:, 46:50, 58:62] = True

    assert middle_of_body(hu, BLOCKS) == pytest.approx(60, abs=1)
    assert not spine_is_in_front(hu, trachea, BLOCKS)
    upside_down = (np.ascontiguousarray(array[:, ::-1]) for array in (hu, trachea))
    assert spine_is_in_front(*upside_down, BLOCKS)
