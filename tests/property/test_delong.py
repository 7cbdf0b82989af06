"""DeLong's variance from ranks is that of its definition, and that of resampling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pipeline.metrics.delong import areas_and_covariance, auc, compare_auc, placements
from pipeline.metrics.scores import ScoredCases
from pipeline.metrics.statistics import patient_bootstrap, roc_area

Values = NDArray[np.float64]
Labels = NDArray[np.bool_]


@st.composite
def judged(draw: st.DrawFn) -> tuple[Labels, Values]:
    """Labels with both classes, and two scores with many ties."""
    positives, negatives = draw(st.integers(2, 12)), draw(st.integers(2, 12))
    labels = np.array(draw(st.permutations([True] * positives + [False] * negatives)))
    scores = draw(arrays(np.int8, (2, len(labels)), elements=st.integers(0, 6)))
    return labels, scores / 6


def by_definition(labels: Labels, scores: Values) -> tuple[Values, Values]:
    """Compare every positive with every negative."""
    positive, negative = scores[:, labels], scores[:, ~labels]
    order = (np.sign(positive[:, :, None] - negative[:, None]) + 1) / 2
    return order.mean(axis=2), order.mean(axis=1)


@settings(deadline=None)
@given(judged())
def test_placements_are_those_of_the_definition(case: tuple[Labels, Values]) -> None:
    for found, expected in zip(placements(*case), by_definition(*case), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


@settings(deadline=None)
@given(judged())
def test_covariance_is_that_of_the_definition(case: tuple[Labels, Values]) -> None:
    of_positives, of_negatives = by_definition(*case)
    expected = np.cov(of_positives) / of_positives.shape[1]
    expected += np.cov(of_negatives) / of_negatives.shape[1]

    areas, covariance = areas_and_covariance(*case)

    np.testing.assert_allclose(areas, of_positives.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(covariance, expected, atol=1e-12)


@settings(deadline=None)
@given(judged())
def test_area_does_not_know_a_rising_map_and_turns_with_the_labels(
    case: tuple[Labels, Values],
) -> None:
    labels, (scores, _) = case
    area = auc(labels, scores)

    assert auc(labels, np.exp(3 * scores)) == area
    assert auc(~labels, scores).value == pytest.approx(1 - area.value)
    assert 0 <= area.low <= area.value <= area.high <= 1


@settings(deadline=None)
@given(judged())
def test_comparison_turns_with_its_order(case: tuple[Labels, Values]) -> None:
    labels, (a, b) = case
    one, other = compare_auc(labels, a, b), compare_auc(labels, b, a)

    assert one.difference.value == pytest.approx(-other.difference.value)
    assert one.p_value == pytest.approx(other.p_value)
    assert 0 <= one.p_value <= 1
    assert compare_auc(labels, a, a).p_value == 1


def draws(cases: int, seed: int) -> tuple[Labels, Values, Values]:
    """Two scores that see the same disease, each with noise of its own."""
    rng = np.random.default_rng(seed)
    labels = np.arange(cases) % 2 == 0
    seen = labels + rng.normal(0, 0.7, cases)
    return labels, seen + rng.normal(0, 0.3, cases), seen + rng.normal(0, 1.2, cases)


def test_interval_is_that_of_the_bootstrap() -> None:
    labels, scores, _ = draws(400, 1)
    cases = ScoredCases(
        patients=tuple(str(i) for i in range(len(labels))), labels=labels, scores=scores
    )

    resampled, delong = patient_bootstrap(cases, roc_area), auc(labels, scores)

    assert resampled.value == pytest.approx(delong.value)
    assert resampled.high - resampled.low == pytest.approx(delong.high - delong.low, rel=0.08)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """The area of two normal scores one deviation apart is 0.7602 (Phi of 1 / sqrt 2)."""
    rng = np.random.default_rng(3)
    labels = np.arange(160) % 2 == 0
    found = [auc(labels, labels + rng.normal(0, 1, 160)) for _ in range(600)]

    assert np.mean([each.low <= 0.7602 <= each.high for each in found]) == pytest.approx(
        0.95, abs=0.03
    )


def test_equal_scores_are_called_different_as_rarely_as_they_should() -> None:
    rng = np.random.default_rng(4)
    labels = np.arange(160) % 2 == 0
    p_values = [
        compare_auc(labels, *(labels + rng.normal(0, 1, (2, 160)))).p_value for _ in range(600)
    ]

    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_better_score_is_found() -> None:
    compared = compare_auc(*draws(400, 5))

    assert compared.difference.low > 0
    assert compared.p_value < 0.001


def test_too_few_cases_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 positive and 2 negative cases, got 1 and 3"):
        auc(np.array([True, False, False, False]), np.arange(4.0))


def test_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected scores \(K, 4\), got \(2, 3\)"):
        compare_auc(np.arange(4) % 2 == 0, np.arange(3.0), np.arange(3.0))


def test_perfect_areas_say_nothing_of_a_difference_unless_the_order_is_the_same() -> None:
    labels = np.arange(20) % 2 == 0
    a = np.where(labels, 1.0, 0.0) + np.arange(20) / 100
    b = np.where(labels, 1.0, 0.0) - np.arange(20) / 100

    apart, same = compare_auc(labels, a, b).difference, compare_auc(labels, a, 2 * a).difference

    assert (apart.value, apart.low, apart.high) == (0.0, -1.0, 1.0)
    assert apart.why_unknown
    assert (same.low, same.high, same.why_unknown) == (0.0, 0.0, "")
