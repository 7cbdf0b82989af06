"""Gates let lungs pass, and choose between two masks."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from pipeline.lungs import gates
from pipeline.lungs.area_profile import AreaProfile
from pipeline.lungs.coarse_grid import coarsen
from pipeline.lungs.facts import LungFacts, LungFigures, facts_of
from pipeline.lungs.gates import choose, doubts_of
from pipeline.lungs.segment import UNET, UNSUPERVISED
from pipeline.reasons import QualityFlag
from pipeline.series.hounsfield import LOWEST_HU

PLAUSIBLE = LungFacts(
    right_ml=2600, left_ml=2200, height_mm=250, mean_hu=-820, at_edge=0.0, dip=0.0
)


# Gates


def test_plausible_lungs_raise_no_doubt() -> None:
    assert doubts_of(PLAUSIBLE) == ()


@pytest.mark.parametrize(
    ("change", "code", "refuses"),
    [
        ({"right_ml": 400.0, "left_ml": 400.0}, "lungs-volume", True),
        ({"right_ml": 700.0, "left_ml": 700.0}, "lungs-volume", False),
        ({"right_ml": 4400.0, "left_ml": 4400.0}, "lungs-volume", False),
        ({"right_ml": 5000.0, "left_ml": 5000.0}, "lungs-volume", True),
        ({"right_ml": 4000.0, "left_ml": 1000.0}, "lungs-ratio", False),
        ({"right_ml": 4000.0, "left_ml": 0.0}, "lungs-one-only", False),
        ({"right_ml": 0.0, "left_ml": 4000.0}, "lungs-one-only", False),
        ({"right_ml": 0.0, "left_ml": 0.0, "open_ml": 4000.0}, "lungs-side-open", False),
        ({"height_mm": 99.0}, "lungs-height", True),
        ({"height_mm": 149.0}, "lungs-height", False),
        ({"height_mm": 401.0}, "lungs-height", False),
        ({"mean_hu": -390.0}, "lungs-attenuation", False),
        ({"mean_hu": -190.0}, "lungs-attenuation", True),
        ({"mean_hu": -955.0}, "lungs-attenuation", False),
        ({"mean_hu": -990.0}, "lungs-attenuation", True),
        ({"at_edge": 0.02}, "lungs-at-edge", False),
        ({"at_edge": 0.3}, "lungs-at-edge", True),
        ({"dip": 0.3}, "lungs-profile", False),
        ({"dip": 0.9}, "lungs-profile", True),
    ],
)
def test_each_gate_doubts_or_refuses(change: dict[str, float], code: str, refuses: bool) -> None:
    (doubt,) = doubts_of(dataclasses.replace(PLAUSIBLE, **change))

    assert (doubt.code, doubt.refuses) == (code, refuses)


@pytest.mark.parametrize(
    "change",
    [
        {"right_ml": 500.0, "left_ml": 500.0},
        {"height_mm": 100.0},
        {"mean_hu": -200.0},
        {"at_edge": 0.2},
    ],
)
def test_a_wide_bound_itself_is_not_refused(change: dict[str, float]) -> None:
    assert not any(doubt.refuses for doubt in doubts_of(dataclasses.replace(PLAUSIBLE, **change)))


SOUND = LungFigures(
    profile=AreaProfile(dip=0.1, bottom_mm=10, top_mm=250, bottom_mm2=0, top_mm2=0),
    behind=0.0,
    gas_ml=0.0,
)
BOUNDS: list[tuple[Callable[[float], LungFacts], float, float]] = [
    (lambda litres: facts(right_ml=600 * litres, left_ml=400 * litres), 1.5, 8.5),
    (lambda ratio: facts(right_ml=1500 * ratio, left_ml=1500), 0.3, 3.3),
    (lambda mm: facts(height_mm=mm), 150, 400),
    (lambda hu: facts(mean_hu=hu), -950, -400),
    (lambda share: facts(at_edge=share), 0, 0.01),
    (lambda share: facts(dip=share), 0, 0.2),
    (lambda share: facts(outside=share), 0, 0.01),
    (lambda mm: facts(by_side=apart(top_mm=mm)), 0, 40),
    (lambda mm: facts(by_side=apart(bottom_mm=mm)), 0, 60),
    (lambda share: facts(by_side=of_profile(dip=share)), 0, 0.4),
    (lambda mm2: facts(by_side=of_profile(top_mm2=mm2)), 0, 1500),
    (lambda mm2: facts(by_side=of_profile(bottom_mm2=mm2)), 0, 4000),
    (lambda share: facts(by_side={"left": dataclasses.replace(SOUND, behind=share)}), 0, 0.12),
    (lambda ml: facts(by_side={"left": dataclasses.replace(SOUND, gas_ml=ml)}), 0, 50),
]


def facts(**changes: object) -> LungFacts:
    return dataclasses.replace(PLAUSIBLE, **changes)  # type: ignore[arg-type]  # checked at run time


def of_profile(**changes: float) -> dict[str, LungFigures]:
    profile = dataclasses.replace(SOUND.profile, **changes)
    return {"right": dataclasses.replace(SOUND, profile=profile)}


def apart(**mm: float) -> dict[str, LungFigures]:
    """Lungs of which the left one ends higher than the right one, by so many mm."""
    first = dataclasses.replace(SOUND.profile, **dict.fromkeys(mm, 0.0))
    second = dataclasses.replace(SOUND.profile, **mm)
    return {
        "right": dataclasses.replace(SOUND, profile=first),
        "left": dataclasses.replace(SOUND, profile=second),
    }


@pytest.mark.parametrize(("made", "low", "high"), BOUNDS)
def test_a_bound_itself_is_plausible_and_what_lies_beyond_is_not(
    made: Callable[[float], LungFacts], low: float, high: float
) -> None:
    assert doubts_of(made(high - abs(1e-9 * high))) == ()
    assert len(doubts_of(made(high * (1.001 if high > 0 else 0.999)))) == 1
    if low:
        assert doubts_of(made(low + abs(1e-9 * low))) == ()
        assert len(doubts_of(made(low - abs(0.001 * low)))) == 1
    else:
        assert doubts_of(made(0.0)) == ()


def test_a_doubt_says_what_came_and_what_was_expected() -> None:
    (doubt,) = doubts_of(dataclasses.replace(PLAUSIBLE, right_ml=300, left_ml=300))

    assert doubt.text == "0.6 L, expected 1 to 9"


NONE: tuple[gates.Failed, ...] = ()
DOUBT = (gates.Failed(code=QualityFlag.LUNGS_RATIO, text="x", refuses=False),)
REFUSAL = (gates.Failed(code=QualityFlag.LUNGS_RATIO, text="x", refuses=True),)


@pytest.mark.parametrize(
    ("unet", "unsupervised", "chosen"),
    [
        (NONE, NONE, UNET),
        (DOUBT, DOUBT, UNET),
        (DOUBT, NONE, UNSUPERVISED),
        (NONE, DOUBT, UNET),
        (REFUSAL, DOUBT, UNSUPERVISED),
        (DOUBT, REFUSAL, UNET),
        (REFUSAL, REFUSAL, None),
    ],
)
def test_the_method_with_fewer_doubts_is_chosen(
    unet: tuple[gates.Failed, ...], unsupervised: tuple[gates.Failed, ...], chosen: str | None
) -> None:
    assert choose({UNET: unet, UNSUPERVISED: unsupervised}) == chosen


def test_facts_are_measured_in_litres_and_millimetres() -> None:
    labels = np.zeros((10, 100, 100), np.uint8)
    labels[2:7, 20:60, 20:40], labels[2:7, 20:60, 50:60] = 1, 2
    hu = np.where(labels > 0, -800, 50).astype(np.int16)

    facts = facts_of(labels, hu, (10.0, 5.0, 5.0))

    assert set(facts.by_side) == {"right", "left"}
    assert dataclasses.replace(facts, by_side={}) == LungFacts(
        right_ml=1000, left_ml=500, height_mm=50, mean_hu=-800, at_edge=0.0, dip=0.0
    )
    assert (facts.litres, facts.ratio) == (1.5, 2.0)


def test_a_mask_cut_by_the_field_of_view_touches_its_edge() -> None:
    labels = np.zeros((10, 100, 100), np.uint8)
    labels[:, 30:70, 0:40] = 1

    facts = facts_of(labels, np.full(labels.shape, -800, np.int16), (10.0, 5.0, 5.0))

    assert facts.at_edge > 0.2


def test_facts_of_an_empty_mask_are_refused() -> None:
    labels = np.zeros((4, 8, 8), np.uint8)

    doubts = doubts_of(facts_of(labels, np.zeros(labels.shape, np.int16), (5.0, 1.4, 1.4)))

    assert {"lungs-volume", "lungs-height"} <= {doubt.code for doubt in doubts if doubt.refuses}


def test_lungs_with_a_gap_have_two_modes() -> None:
    labels = np.zeros((60, 40, 40), np.uint8)
    labels[5:55, 10:30, 10:30] = 1
    hu = np.full(labels.shape, -800, np.int16)
    assert facts_of(labels, hu, (5.0, 4.0, 4.0)).dip == 0

    labels[25:35] = 0

    assert facts_of(labels, hu, (5.0, 4.0, 4.0)).dip == pytest.approx(1)


@pytest.mark.parametrize("spacing", [(10.0, 1.4, 1.4), (10.0, 1.0, 1.4), (10.0, 1.4, 0.7)])
@pytest.mark.parametrize("cut", [False, True])
def test_the_field_of_view_is_that_of_the_pixels_in_millimetres(
    spacing: tuple[float, float, float], cut: bool
) -> None:
    row, column = np.ogrid[:200, :200]
    away = np.hypot((row - 99.5) * spacing[1], (column - 99.5) * spacing[2])
    radius = 99.0 * min(spacing[1:])
    hu = np.tile(np.where(away < radius, -990, LOWEST_HU).astype(np.int16), (6, 1, 1))
    inner = np.broadcast_to((away < 0.8 * radius) & (column < 100), hu.shape)
    outer = np.broadcast_to((away < radius) & (column < 100), hu.shape)
    if cut:  # rows of the chest only, as somebody cut them
        hu, inner, outer = (volume[:, 40:160] for volume in (hu, inner, outer))
        inner = inner & (np.arange(120)[:, None] > 8) & (np.arange(120)[:, None] < 112)

    assert facts_of(inner.astype(np.uint8), hu, spacing).at_edge == 0
    assert facts_of(outer.astype(np.uint8), hu, spacing).at_edge > 0.2


def test_no_circle_is_assumed_where_the_whole_image_shows_something() -> None:
    hu = np.random.default_rng(1).normal(-990, 10, (6, 120, 200)).astype(np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[:, 10:110, 10:90], labels[:, 10:110, 110:190] = 1, 2

    assert facts_of(labels, hu, (10.0, 1.4, 1.4)).at_edge == 0


@pytest.mark.parametrize(
    ("shape", "spacing", "factors"),
    [
        ((20, 512, 512), (1.25, 0.7, 0.7), (2, 2, 2)),
        ((20, 512, 300), (5.0, 0.7, 0.7), (1, 2, 2)),
        ((20, 512, 512), (5.0, 0.35, 0.7), (1, 2, 1)),
        ((20, 1024, 512), (5.0, 0.35, 0.7), (1, 4, 2)),
        ((20, 100, 128), (5.0, 2.0, 2.0), (1, 1, 1)),
    ],
)
def test_the_coarse_grid_has_pixels_of_about_one_length(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    factors: tuple[int, int, int],
) -> None:
    assert coarsen(np.zeros(shape, np.int16), spacing).factors == factors
