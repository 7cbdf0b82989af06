"""Prediction sets keep their promise for each class, on cases that chose nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.classifier.conformal import (
    ConformalThresholds,
    conformal_thresholds,
    prediction_set,
)
from pipeline.types import ScoreClass

DRAWS, NEW = 150, 10
COVERAGES = st.sampled_from((0.5, 0.8, 0.9, 0.95))
FEW = st.lists(st.integers(0, 9).map(lambda n: n / 9), min_size=1, max_size=30)


def labelled(negative: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat([False, True], [len(negative), len(positive)])
    return np.concatenate([negative, positive]), labels


@given(
    coverage=COVERAGES,
    negatives=st.integers(1, 40),
    positives=st.integers(1, 40),
    coarse=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_coverage_of_each_class_holds_on_exchangeable_cases(
    coverage: float, negatives: int, positives: int, *, coarse: bool, seed: int
) -> None:
    """Over many draws of calibration cases, one new case of each class per draw."""
    rng = np.random.default_rng(seed)
    covered = {ScoreClass.NEGATIVE: 0, ScoreClass.POSITIVE: 0}
    for _ in range(DRAWS):
        negative, positive = rng.beta(2, 4, negatives + NEW), rng.beta(4, 2, positives + NEW)
        if coarse:  # ties
            negative, positive = negative.round(1), positive.round(1)
        chosen = conformal_thresholds(*labelled(negative[NEW:], positive[NEW:]), coverage)
        for name, new in (
            (ScoreClass.NEGATIVE, negative[:NEW]),
            (ScoreClass.POSITIVE, positive[:NEW]),
        ):
            covered[name] += sum(name in prediction_set(s, chosen).classes for s in new)

    # new cases of one draw share their thresholds: at worst as uncertain as one case a draw
    slack = 6 * np.sqrt(coverage * (1 - coverage) / DRAWS)
    assert min(covered.values()) / (DRAWS * NEW) >= coverage - slack


@given(own=FEW, coverage=COVERAGES)
def test_leaving_one_out_the_promise_holds_exactly(own: list[float], coverage: float) -> None:
    """The proof of the method: of n + 1 exchangeable cases, few are strange to the other n."""
    scores = np.array(own)
    for name, label in ((ScoreClass.NEGATIVE, False), (ScoreClass.POSITIVE, True)):
        labels = np.full(len(scores) - 1, label)
        strange = 0
        for i, score in enumerate(scores):
            chosen = conformal_thresholds(np.delete(scores, i), labels, coverage)
            strange += name not in prediction_set(score, chosen).classes
        assert strange <= (1 - coverage) * len(scores) + 1e-9


@given(negative=FEW, positive=FEW, coverage=COVERAGES)
def test_turning_the_classes_round_turns_the_sets_round(
    negative: list[float], positive: list[float], coverage: float
) -> None:
    one = conformal_thresholds(*labelled(np.array(negative), np.array(positive)), coverage)
    other = conformal_thresholds(
        *labelled(1 - np.array(positive), 1 - np.array(negative)), coverage
    )

    assert one.positive_at_least == pytest.approx(1 - other.negative_at_most)
    assert one.negative_at_most == pytest.approx(1 - other.positive_at_least)


@pytest.mark.parametrize(
    ("score", "classes"),
    [(0.1, ("negative",)), (0.4, ("negative",)), (0.5, ()), (0.6, ("positive",))],
)
def test_a_gap_between_the_classes_leaves_scores_that_are_like_neither(
    score: float, classes: tuple[str, ...]
) -> None:
    apart = ConformalThresholds(coverage=0.9, negative_at_most=0.4, positive_at_least=0.6)

    assert prediction_set(score, apart).classes == classes


@pytest.mark.parametrize(
    ("score", "classes"),
    [(0.3, ("negative",)), (0.4, ("negative", "positive")), (0.7, ("positive",))],
)
def test_where_the_classes_overlap_both_stay_open(score: float, classes: tuple[str, ...]) -> None:
    mixed = ConformalThresholds(coverage=0.9, negative_at_most=0.6, positive_at_least=0.4)

    assert prediction_set(score, mixed).classes == classes


def test_too_few_cases_for_the_promise_leave_the_class_open_always() -> None:
    chosen = conformal_thresholds(*labelled(np.full(8, 0.1), np.full(9, 0.9)), 0.9)

    assert prediction_set(0.99, chosen).classes == ("negative", "positive")
    assert prediction_set(0.01, chosen).classes == ("negative",)


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0])
def test_impossible_promises_are_refused(coverage: float) -> None:
    with pytest.raises(ValueError, match=f"between 0 and 1, got {coverage}"):
        conformal_thresholds(*labelled(np.zeros(3), np.ones(3)), coverage)


def test_scores_and_labels_must_match() -> None:
    with pytest.raises(ValueError, match="as many scores as labels"):
        conformal_thresholds(np.zeros(3), np.zeros(2, np.bool_), 0.9)
