"""Limits of agreement and discordant answers, against published examples."""

import numpy as np
import pytest

from pipeline.metrics.paired import agreement, discordance
from pipeline.metrics.statistics import NO_SPREAD

WRIGHT = np.array(
    [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427.0]
)
MINI = np.array(
    [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451.0]
)
"""Peak flow by two meters, l/min: Bland and Altman 1986, doi:10.1016/S0140-6736(86)90837-8."""


def test_bias_and_limits_are_those_of_the_published_example() -> None:
    found = agreement(MINI, WRIGHT)

    assert found.cases == 17
    assert found.bias.value == pytest.approx(-2.1, abs=0.05)
    assert (found.bias.low, found.bias.high) == pytest.approx((-22.0, 17.8), abs=0.1)
    assert (found.lower.value, found.upper.value) == pytest.approx((-78.1, 73.9), abs=0.1)
    assert found.lower.low < found.lower.value < found.lower.high < found.bias.low


def test_limits_have_wider_intervals_than_the_bias() -> None:
    found = agreement(MINI, WRIGHT)

    assert found.upper.high - found.upper.low > found.bias.high - found.bias.low


def test_equal_methods_have_no_interval() -> None:
    found = agreement(MINI, MINI)

    assert (found.bias.value, found.bias.why_unknown) == (0.0, NO_SPREAD)


def test_two_pairs_are_too_few() -> None:
    with pytest.raises(ValueError, match="at least 3 pairs, got 2 and 2"):
        agreement(MINI[:2], WRIGHT[:2])


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        (2, 10, 158 / 4096),  # 2 (1 + 12 + 66) of 2^12
        (10, 2, 158 / 4096),
        (4, 4, 1.0),
        (0, 0, 1.0),
        (0, 6, 2 / 64),
    ],
)
def test_discordant_answers_are_tested_exactly(
    only_first: int, only_second: int, p_value: float
) -> None:
    assert discordance(only_first, only_second).p_value == pytest.approx(p_value)
