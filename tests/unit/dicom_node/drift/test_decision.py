"""Changes of a scanner are told, whatever its figures look like; habits are not."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.drift.decision import (
    FIGURES,
    LEAST_REFERENCE,
    Equipment,
    first_shift,
    news_of,
    normal_score,
    shifts,
)
from storage.results.drift import Sample

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=LEAST_REFERENCE, max_size=120)


def habit(seed: int, count: int, *, shift: float = 0.0) -> list[float]:
    drawn = random.Random(seed)  # a simulation
    return [drawn.gauss(100 + shift, 10) for _ in range(count)]


@given(VALUES, st.floats(-1e7, 1e7), st.floats(-1e7, 1e7))
def test_scores_are_finite_and_in_the_order_of_the_values(
    reference: list[float], one: float, other: float
) -> None:
    ascending, (low, high) = sorted(reference), sorted((one, other))

    assert math.isfinite(normal_score(ascending, low))
    assert normal_score(ascending, low) <= normal_score(ascending, high)


@given(VALUES)
def test_scores_of_the_reference_itself_are_zero_on_the_whole(reference: list[float]) -> None:
    ascending = sorted(reference)
    scores = [normal_score(ascending, value) for value in ascending]

    assert abs(sum(scores)) / len(scores) < 0.35  # ties at one end move it


@given(VALUES, st.floats(0.1, 50), st.floats(-1e3, 1e3))
def test_neither_unit_nor_zero_of_a_figure_matter(
    reference: list[float], scale: float, zero: float
) -> None:
    values = [value + 7 for value in reference[:60]]
    spread = {round(scale * value + zero, 9) for value in (*reference, *values)}
    if len(spread) != len({*reference, *values}):
        return  # rounding made ties
    found = first_shift("noise_hu", reference, values)
    moved = first_shift(
        "noise_hu",
        [scale * value + zero for value in reference],
        [scale * value + zero for value in values],
    )

    assert (found is None) == (moved is None)
    if found is not None and moved is not None:
        assert found.at == moved.at


@given(VALUES)
def test_a_figure_that_stays_what_it_always_was_is_never_told(reference: list[float]) -> None:
    same = [reference[0]] * LEAST_REFERENCE

    assert first_shift("slice_mm", same, same * 20) is None


def test_a_rise_and_a_fall_are_told_with_what_was_and_what_is() -> None:
    for by in (20, -20):
        found = first_shift("air_hu", habit(1, 200), habit(2, 200, shift=by))

        assert found is not None
        assert found.at < 50
        assert found.before == pytest.approx(100, abs=3)
        assert found.after == pytest.approx(100 + by, abs=6)


def test_a_reference_that_is_too_short_tells_nothing() -> None:
    reference = habit(1, LEAST_REFERENCE - 1)

    assert first_shift("air_hu", reference, habit(2, 200, shift=50)) is None


def test_series_without_a_figure_are_passed_over() -> None:
    values = [value for one in habit(2, 100, shift=30) for value in (one, None, math.nan)]

    found = first_shift("air_hu", [*habit(1, 200), None, math.nan], values)

    assert found is not None
    assert found.at % 3 == 0


def test_a_share_is_told_as_one() -> None:
    found = first_shift("refused", [0.0, 0.0, 0.0, 1.0] * 50, [1.0] * 60)

    assert found is not None
    assert (found.before, found.after) == (0.25, 1.0)
    assert found.text == "share of series not analysed: 0.25 before, 1 now"


def test_every_figure_of_a_scanner_is_looked_at_for_itself() -> None:
    reference = [Sample(figures={"noise_hu": one, "air_hu": one}) for one in habit(1, 200)]
    values = [
        Sample(figures={"noise_hu": one, "air_hu": other})
        for one, other in zip(habit(2, 100), habit(3, 100, shift=30), strict=True)
    ]

    assert [shift.figure for shift in shifts(reference, values)] == ["air_hu"]
    assert set(FIGURES) >= {"noise_hu", "air_hu"}


def test_figures_of_another_model_are_not_compared_but_those_of_the_headers_are() -> None:
    def samples(basis: str, figures: list[float]) -> list[Sample]:
        return [Sample(basis=basis, figures={"score": one, "slice_mm": one}) for one in figures]

    reference, shifted = habit(1, 200), habit(2, 100, shift=30)

    def changed(*values: Sample) -> list[str]:
        return [shift.figure for shift in shifts(samples("a", reference), values)]

    assert changed(*samples("a", shifted)) == ["slice_mm", "score"]
    assert changed(*samples("b", shifted)) == ["slice_mm"]
    refusal = Sample(figures={"refused": 1.0})  # of no model: it hides nothing
    assert changed(*samples("a", shifted), refusal) == ["slice_mm", "score"]


CT1 = Equipment(scanner="Maker One CT1", kernel="B70f", software="1.0")


@pytest.mark.parametrize(
    ("series", "known", "news"),
    [
        (CT1, [], ("new scanner: Maker One CT1",)),
        (
            CT1,
            [Equipment(scanner="other", kernel="", software="")],
            ("new scanner: Maker One CT1",),
        ),
        (
            Equipment(scanner="", kernel="", software=""),
            [],
            ("new scanner: one that does not say what it is",),
        ),
        (CT1, [CT1], ()),
        (
            Equipment(scanner=CT1.scanner, kernel="B31f", software="1.0"),
            [CT1],
            ("new kernel: B31f",),
        ),
        (
            Equipment(scanner=CT1.scanner, kernel="B70f", software="2.0"),
            [CT1],
            ("new software version: 2.0",),
        ),
        (
            Equipment(scanner=CT1.scanner, kernel="B31f", software="2.0"),
            [CT1],
            ("new kernel: B31f", "new software version: 2.0"),
        ),
        (Equipment(scanner=CT1.scanner, kernel="", software=""), [CT1], ()),
    ],
)
def test_what_was_not_known_is_told(
    series: Equipment, known: list[Equipment], news: tuple[str, ...]
) -> None:
    assert news_of(series, known) == news
