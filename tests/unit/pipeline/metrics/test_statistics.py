"""Shares, thresholds, calibration and net benefit: figures that can be checked by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from pipeline.metrics.decision_curve import decision_curve
from pipeline.metrics.delong import auc
from pipeline.metrics.operating_points import operating_points
from pipeline.metrics.reliability import reliability
from pipeline.metrics.scores import ScoredCases
from pipeline.metrics.statistics import (
    Values,
    average_precision,
    patient_bootstrap,
    proportion,
    roc_area,
    with_interval,
)
from pipeline.metrics.thresholds import predictive_values, threshold_row

LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], np.bool_)
SCORES = np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.5, 0.1, 0.1, 0.1, 0.0])


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [  # Wilson's interval by its formula, z = 1.959964
        (55, 67, 0.713, 0.894),
        (63, 64, 0.917, 0.997),
        (0, 10, 0.0, 0.278),
        (10, 10, 0.722, 1.0),
    ],
)
def test_intervals_are_wilsons(count: int, total: int, low: float, high: float) -> None:
    found = proportion(count, total)

    assert found.value == count / total
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-4), pytest.approx(high, abs=5e-4))


def test_threshold_counts_what_lies_strictly_above() -> None:
    row = threshold_row(LABELS, SCORES, 0.5)

    assert (row.true_positives, row.false_positives) == (3, 1)
    assert (row.false_negatives, row.true_negatives) == (1, 5)
    assert row.sensitivity.value == 3 / 4
    assert row.specificity.value == 5 / 6
    assert row.ppv is not None
    assert row.ppv.value == 3 / 4
    assert row.npv is not None
    assert row.npv.value == 5 / 6
    assert row.accuracy.value == 8 / 10


def test_nothing_is_said_of_calls_that_nobody_made() -> None:
    row = threshold_row(LABELS, SCORES, 0.95)

    assert row.ppv is None
    assert row.npv is not None
    assert predictive_values(row, 0.2).ppv is None


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="1 positive and 1 negative cases, got 0 and 6"):
        threshold_row(LABELS[4:], SCORES[4:], 0.5)


def test_predictive_values_follow_the_prevalence() -> None:
    row = threshold_row(LABELS, SCORES, 0.5)
    here, rare = (predictive_values(row, prevalence) for prevalence in (0.4, 0.01))

    assert here.ppv is not None
    assert row.ppv is not None
    assert here.ppv.value == pytest.approx(row.ppv.value)
    assert here.npv is not None
    assert row.npv is not None
    assert here.npv.value == pytest.approx(row.npv.value)
    assert rare.ppv is not None
    assert rare.ppv.value == pytest.approx(0.75 * 0.01 / (0.75 * 0.01 + 1 / 6 * 0.99))
    assert rare.ppv.low < rare.ppv.value < rare.ppv.high


@pytest.mark.parametrize("prevalence", [0, 1, -0.1, float("nan")])
def test_prevalence_lies_between_nobody_and_everybody(prevalence: float) -> None:
    with pytest.raises(ValueError, match="prevalence between 0 and 1"):
        predictive_values(threshold_row(LABELS, SCORES, 0.5), prevalence)


def test_calibration_figures_by_hand() -> None:
    found = reliability(LABELS, SCORES)

    assert found.brier == pytest.approx(np.mean((LABELS - SCORES) ** 2))
    gaps = [0.1, 0.2, 0.3, 0.8, 0.6, 0.5, 0.1, 0.1, 0.1, 0.0]
    in_bins = [abs(sum(gaps[6:9])), *gaps[:6], gaps[9]]
    assert found.expected_calibration_error == pytest.approx(sum(in_bins) / 10)
    assert [bin_.observed.total for bin_ in found.bins] == [1, 3, 1, 1, 1, 1, 1, 1]


def test_slope_and_intercept_of_distorted_probabilities_are_found_again() -> None:
    rng = np.random.default_rng(6)
    logit = rng.normal(0, 1.5, 40_000)
    labels = rng.random(40_000) < 1 / (1 + np.exp(-logit))

    found = reliability(labels, 1 / (1 + np.exp(-(logit + 1) / 0.5)))

    assert found.slope == pytest.approx(0.5, abs=0.02)
    assert found.intercept == pytest.approx(-1, abs=0.04)


def test_separable_cases_have_no_slope() -> None:
    found = reliability(LABELS, LABELS * 0.5 + 0.1)

    assert (found.slope, found.intercept) == (None, None)


@pytest.mark.parametrize(
    "scores", [np.full(10, 0.3), np.where(LABELS, 0.5, np.linspace(0.1, 0.5, 10))]
)
def test_scores_alike_or_parted_but_for_ties_have_no_slope(scores: Values) -> None:
    found = reliability(LABELS, scores)

    assert (found.slope, found.intercept) == (None, None)


def test_one_patient_and_equal_scores_have_no_interval() -> None:
    one = ScoredCases(patients=("a",) * 10, labels=LABELS, scores=SCORES)
    alike = ScoredCases(patients=tuple("abcdefghij"), labels=LABELS, scores=np.full(10, 0.3))

    for found, why in (
        (patient_bootstrap(one, roc_area), "one patient"),
        (patient_bootstrap(alike, roc_area), "do not spread"),
        (auc(LABELS, alike.scores), "do not spread"),
        (auc(LABELS, LABELS * 0.5), "do not spread"),
    ):
        assert why in found.why_unknown
        assert why in with_interval(found)
        assert (found.low, found.high) == (0, 1)
    assert not auc(LABELS, SCORES).why_unknown


def test_the_interval_of_resampled_patients_holds_95_of_100_and_is_delongs() -> None:
    """Every case another patient's, so that DeLong's variance holds."""
    rng = np.random.default_rng(8)
    labels = np.arange(200) % 2 == 0
    scores = rng.normal(labels * 1.2, 1.0)
    names = tuple(f"{number:03}" for number in range(200))
    cases = ScoredCases(patients=names, labels=labels, scores=scores)

    found = patient_bootstrap(cases, roc_area, seed=4, resamples=400)

    draws, areas = np.random.default_rng(4), []
    for _ in range(400):
        chosen = draws.integers(200, size=200)
        positive, negative = scores[chosen[labels[chosen]]], scores[chosen[~labels[chosen]]]
        areas.append((positive[:, None] > negative).mean())
    assert (found.low, found.high) == pytest.approx(np.quantile(areas, [0.025, 0.975]))
    by_delong = auc(labels, scores)
    assert found.high - found.low == pytest.approx(by_delong.high - by_delong.low, rel=0.15)


def test_delongs_interval_is_a_normal_one_of_95_of_100() -> None:
    found = auc(LABELS, SCORES)
    above = (SCORES[LABELS][:, None] > SCORES[~LABELS]).astype(float)
    variance = above.mean(1).var(ddof=1) / 4 + above.mean(0).var(ddof=1) / 6
    assert found.value == pytest.approx(above.mean())
    reach = 1.959964 * np.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((found.value - reach, 1.0), abs=1e-4)


def test_bounds_of_predictive_values_are_those_of_both_wilson_intervals() -> None:
    row = threshold_row(LABELS, SCORES, 0.5)
    found = predictive_values(row, 0.1)

    def right(sensitivity: float, specificity: float) -> float:
        return sensitivity * 0.1 / (sensitivity * 0.1 + (1 - specificity) * 0.9)

    assert found.ppv is not None
    assert found.npv is not None
    assert found.ppv.low == pytest.approx(right(row.sensitivity.low, row.specificity.low))
    assert found.ppv.high == pytest.approx(right(row.sensitivity.high, row.specificity.high))
    low, high = row.sensitivity.low, row.specificity.low
    assert found.npv.low == pytest.approx(high * 0.9 / (high * 0.9 + (1 - low) * 0.1))


def test_net_benefit_by_hand() -> None:
    curve = {round(point.probability, 2): point for point in decision_curve(LABELS, SCORES)}

    assert curve[0.5].by_score == pytest.approx(3 / 10 - 1 / 10)
    assert curve[0.5].treat_all == pytest.approx(4 / 10 - 6 / 10)
    assert curve[0.2].by_score == pytest.approx(3 / 10 - 2 / 10 / 4)


def test_rows_of_one_patient_do_not_narrow_the_interval() -> None:
    """Each case written four times is no more evidence if it is one patient's."""

    def width(patients: tuple[str, ...], copies: int) -> float:
        cases = ScoredCases(
            patients=patients, labels=np.tile(LABELS, copies), scores=np.tile(SCORES, copies)
        )
        found = patient_bootstrap(
            cases,
            average_precision,
        )
        return found.high - found.low

    once = width(tuple("abcdefghij"), 1)
    assert width(tuple("abcdefghij" * 4), 4) == pytest.approx(once)
    assert width(tuple(str(i) for i in range(40)), 4) < 0.7 * once


@pytest.mark.parametrize("seed", range(5))
def test_weighted_figures_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.arange(60) % 3 == 0
    scores, weights = rng.integers(0, 12, 60) / 12, rng.integers(0, 4, 60).astype(float)

    assert roc_area(labels, scores, weights) == pytest.approx(
        roc_auc_score(labels, scores, sample_weight=weights)
    )
    assert average_precision(labels, scores, weights) == pytest.approx(
        average_precision_score(labels, scores, sample_weight=weights)
    )


@pytest.mark.parametrize("seed", range(5))
def test_operating_points_are_the_best_of_all_thresholds(seed: int) -> None:
    """Every threshold is tried by counting; the promise is 95 of 100."""
    rng = np.random.default_rng(seed)
    labels = np.arange(60) % 2 == 0
    scores = np.clip(rng.normal(0.4 + 0.25 * labels, 0.15), 0.01, 0.99)
    edges = np.unique(np.r_[0.0, scores, 1.0])
    tried = [*((edges[1:] + edges[:-1]) / 2), 1.0]
    shares = {t: ((scores[labels] > t).mean(), (scores[~labels] <= t).mean()) for t in tried}

    youden, sensitive, specific = operating_points(labels, scores)

    for point in (youden, sensitive, specific):
        found = point.sensitivity.value, point.specificity.value
        assert found == pytest.approx(shares[point.threshold])
    best = max(a + b for a, b in shares.values())
    assert youden.sensitivity.value + youden.specificity.value == pytest.approx(best)
    of_sensitive = max(b for a, b in shares.values() if a >= 0.95)
    assert sensitive.sensitivity.value >= 0.95
    assert sensitive.specificity.value == pytest.approx(of_sensitive)
    of_specific = max(a for a, b in shares.values() if b >= 0.95)
    assert specific.specificity.value >= 0.95
    assert specific.sensitivity.value == pytest.approx(of_specific)


def test_a_threshold_lies_in_the_middle_of_the_widest_gap() -> None:
    labels = np.array([0, 0, 0, 1, 1], np.bool_)
    youden, *_ = operating_points(labels, np.array([0.1, 0.2, 0.3, 0.7, 0.8]))
    assert youden.threshold == pytest.approx(0.5)


def test_a_score_of_one_lies_in_the_last_bin() -> None:
    found = reliability(np.array([1, 0, 1], np.bool_), np.array([1.0, 0.95, 0.15]))
    assert [(bin_.observed.total, bin_.mean_score) for bin_ in found.bins] == [
        (1, pytest.approx(0.15)),
        (2, pytest.approx(0.975)),
    ]
