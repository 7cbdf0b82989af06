"""Compute how far scores are probabilities: Brier score, ECE, slope, reliability curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from pipeline.metrics.statistics import Labels, Proportion, Values, proportion

BINS = 10  #: of equal width
#: A score next to 0 or 1 is taken for this far away: float32 probabilities know no less.
RESOLUTION = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """The cases whose score lies in one bin.

    Attributes
    ----------
    mean_score
        Of its cases.
    observed
        Share of them that are positive.
    """

    mean_score: float
    observed: Proportion


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How well scores agree with what was observed.

    Attributes
    ----------
    brier
        Mean squared distance of score and label; 0 is best.
    expected_calibration_error
        Mean distance of mean score and observed share over `BINS` bins, weighted by cases.
    slope, intercept
        Of the logistic regression of the label on the logit of the score (Cox 1958,
        doi:10.1093/biomet/45.3-4.562); 1 and 0 are best, a slope below 1 means scores too
        extreme. None where a threshold separates the classes but for ties, or all scores are
        alike: there is no finite slope.
    mean_score
        To be set against the prevalence.
    """

    brier: float
    expected_calibration_error: float
    slope: float | None
    intercept: float | None
    mean_score: float
    bins: tuple[ReliabilityBin, ...]


def reliability(labels: Labels, scores: Values) -> Reliability:
    """Set scores against what was observed.

    Raises
    ------
    ValueError
        If a class is missing.
    """
    bins = reliability_bins(labels, scores)
    slope, intercept = recalibration_line(labels, scores)
    gaps = [bin_.observed.total * abs(bin_.mean_score - bin_.observed.value) for bin_ in bins]
    return Reliability(
        brier=float(brier_score_loss(labels, scores)),
        expected_calibration_error=sum(gaps) / len(labels),
        slope=slope,
        intercept=intercept,
        mean_score=float(scores.mean()),
        bins=bins,
    )


def reliability_bins(labels: Labels, scores: Values) -> tuple[ReliabilityBin, ...]:
    """Bins of equal width that hold at least one case."""
    number = np.minimum((scores * BINS).astype(int), BINS - 1)
    return tuple(
        ReliabilityBin(
            mean_score=float(scores[inside].mean()),
            observed=proportion(int(labels[inside].sum()), int(np.count_nonzero(inside))),
        )
        for inside in (number == bin_ for bin_ in np.unique(number))
    )


def recalibration_line(labels: Labels, scores: Values) -> tuple[float | None, float | None]:
    """Slope and intercept of the label's log-odds on the score's; None twice if there are none."""
    positive, negative = scores[labels], scores[~labels]
    if negative.max() <= positive.min() or positive.max() <= negative.min():
        return None, None  # also where all scores are alike
    fitted = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    fitted.fit(logits(scores)[:, None], labels)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def logits(scores: Values) -> Values:
    """Log-odds of scores ``(N,)``, finite also for 0 and 1."""
    odds: Values = special.logit(np.clip(scores, RESOLUTION, 1 - RESOLUTION))
    return odds
