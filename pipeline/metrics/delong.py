"""Compute the area under the ROC curve with DeLong's variance; compare two scores, paired.

E. DeLong et al., Biometrics 44 (1988), doi:10.2307/2531595; computed from ranks in
O(N log N) after X. Sun and W. Xu, IEEE Signal Processing Letters 21 (2014),
doi:10.1109/LSP.2014.2337313.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from pipeline.metrics.statistics import (
    CONFIDENCE,
    NO_SPREAD,
    Estimate,
    Labels,
    Values,
    require_both_classes,
)

Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
NO_DEVIATION = 1e-12  #: of an area, 0 but for rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two scores on the same cases.

    Attributes
    ----------
    difference
        AUC of the first less that of the second.
    p_value
        Two-sided, of the hypothesis that the areas are equal.
    """

    auc_a: float
    auc_b: float
    difference: Estimate
    p_value: float


def auc(labels: Labels, scores: Values) -> Estimate:
    """Area under the ROC curve with DeLong's interval, cut to 0..1.

    Cases are taken for independent; for several cases of one patient see
    `pipeline.metrics.statistics.patient_bootstrap`.

    Raises
    ------
    ValueError
        If a class has fewer than two cases.
    """
    areas, covariance = areas_and_covariance(labels, scores[None])
    half = Z * float(np.sqrt(max(0.0, covariance[0, 0])))
    value = float(areas[0])
    if half == 0:  # all pairs in one order, or all tied
        return Estimate(value=value, low=0.0, high=1.0, why_unknown=NO_SPREAD)
    return Estimate(value=value, low=max(0.0, value - half), high=min(1.0, value + half))


def compare_auc(labels: Labels, a: Values, b: Values) -> Comparison:
    """Compare the areas of two scores given to the same cases.

    Parameters
    ----------
    labels, a, b
        ``(N,)``, in the same order.

    Raises
    ------
    ValueError
        If a class has fewer than two cases, or the lengths differ.
    """
    areas, covariance = areas_and_covariance(labels, np.stack([a, b]))
    difference = float(areas[0] - areas[1])
    contrast = np.array([1.0, -1.0])
    deviation = float(np.sqrt(max(0.0, contrast @ covariance @ contrast)))
    return Comparison(
        auc_a=float(areas[0]),
        auc_b=float(areas[1]),
        difference=_around(difference, Z * deviation, is_known=_have_one_order(a, b)),
        p_value=_two_sided(difference, deviation),
    )


def _around(difference: float, half: float, *, is_known: bool) -> Estimate:
    """Give the interval of a difference; the widest where there is no spread to tell it from.

    Parameters
    ----------
    is_known
        Whether the difference is 0 of whichever cases, and no spread stands for no doubt.
    """
    if half < NO_DEVIATION and not is_known:
        return Estimate(value=difference, low=-1.0, high=1.0, why_unknown=NO_SPREAD)
    return Estimate(
        value=difference, low=max(-1.0, difference - half), high=min(1.0, difference + half)
    )


def _have_one_order(a: Values, b: Values) -> bool:
    """Whether two scores put the cases in the same order."""
    return bool(np.array_equal(stats.rankdata(a), stats.rankdata(b)))


def areas_and_covariance(labels: Labels, scores: Values) -> tuple[Values, Values]:
    """Areas of K scores and their covariance.

    Parameters
    ----------
    labels
        ``(N,)``.
    scores
        ``(K, N)``; larger means more positive. Ties count one half.

    Returns
    -------
    areas
        ``(K,)``
    covariance
        ``(K, K)``

    Raises
    ------
    ValueError
        If a class has fewer than two cases, or the lengths differ.
    """
    if scores.shape[1:] != labels.shape:
        raise ValueError(f"expected scores (K, {len(labels)}), got {scores.shape}")
    require_both_classes(labels, 2)
    of_positives, of_negatives = placements(labels, scores)
    covariance: Values = np.atleast_2d(np.cov(of_positives)) / of_positives.shape[1]
    covariance = covariance + np.atleast_2d(np.cov(of_negatives)) / of_negatives.shape[1]
    return of_positives.mean(axis=1), covariance


def placements(labels: Labels, scores: Values) -> tuple[Values, Values]:
    """How well each case is placed among those of the other class.

    Returns
    -------
    of_positives
        ``(K, P)``, share of the negatives below each positive.
    of_negatives
        ``(K, M)``, share of the positives above each negative.
    """
    positive, negative = scores[:, labels], scores[:, ~labels]
    ranks = stats.rankdata(scores, axis=1)  # mid-ranks: ties count one half
    below = ranks[:, labels] - stats.rankdata(positive, axis=1)
    above = positive.shape[1] - (ranks[:, ~labels] - stats.rankdata(negative, axis=1))
    return below / negative.shape[1], above / positive.shape[1]


def _two_sided(difference: float, deviation: float) -> float:
    """Two-sided p-value; without any deviation it is 1 for equal areas and 0 for others."""
    if deviation == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stats.norm.sf(abs(difference) / deviation))
