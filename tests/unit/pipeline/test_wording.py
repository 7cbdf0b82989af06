"""Reasons made from data: short, and never against themselves."""

from __future__ import annotations

import pytest

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.scan_quality.gates import GATES, sentence
from pipeline.wording import LONGEST_REASON, examples, figure


@pytest.mark.parametrize(
    ("value", "bounds", "shown"),
    [
        (5.0, (4.0,), "5.00"),
        (5.0004, (5.0,), "5.0004"),
        (149.996, (150.0,), "149.996"),
        (4.9999, (0.4, 5.0), "4.9999"),
        (5.0, (5.0,), "5.00"),
        (-0.001, (float("-inf"), 0.0), "-0.001"),
    ],
)
def test_a_figure_stands_on_its_side_of_the_bound(
    value: float, bounds: tuple[float, ...], shown: str
) -> None:
    assert figure(value, *bounds) == shown


def test_a_gate_does_not_contradict_itself() -> None:
    text = sentence(GATES[0], 5.0004, (0.4, 5.0))
    assert text == "distance between slices 5.0004 mm, 0.4 to 5 expected"


def test_three_examples_and_a_count() -> None:
    assert examples(["a", "b", "c"]) == "a, b, c"
    assert examples([str(number) for number in range(500)]) == "0, 1, 2 and 497 more"


def test_a_reason_is_short_whatever_the_header_holds() -> None:
    reason = UnsuitableSeries(UnsuitableReason.NOT_CT, f"CT expected, got {'MR' * 5000}")
    assert len(reason.text) == len(str(reason)) - len("not-ct: ") == LONGEST_REASON
    assert reason.text.endswith("MR...")
