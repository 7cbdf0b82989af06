"""Conformal prediction sets: the classes that a score leaves open, with a promised coverage.

Split, class-conditional (Mondrian) conformal prediction: of new cases exchangeable with those
that chose the thresholds, at least the promised share *of each class* has its own class in the
set. Source: Vovk et al., "Algorithmic Learning in a Random World", 2005, sections 4.2 and 4.5;
Angelopoulos & Bates, arXiv:2107.07511, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.types import PredictionSet, ScoreClass

ROUNDING = 1e-9  #: 0.1 of 10 cases is one case, whatever binary fractions say


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformalThresholds:
    """Up to where a score may be a negative case's, from where a positive one's; both included.

    Attributes
    ----------
    coverage
        Share of each class that is promised to have its own class in the set, 0 to 1.
    """

    coverage: float
    negative_at_most: float
    positive_at_least: float


def conformal_thresholds(
    scores: NDArray[np.float64], labels: NDArray[np.bool_], coverage: float
) -> ConformalThresholds:
    """Choose the thresholds of each class on cases that the model has not seen.

    Parameters
    ----------
    scores
        ``(N,)``, 0 to 1, for the positive class.
    labels
        ``(N,)``, True for positive. A class with too few cases for the promise, fewer than
        ``coverage / (1 - coverage)``, is in every set.
    coverage
        Between 0 and 1.

    Raises
    ------
    ValueError
        If the coverage is out of bounds, or scores and labels are not of one length.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must lie between 0 and 1, got {coverage}")
    if scores.shape != labels.shape:
        raise ValueError(f"as many scores as labels expected, got {scores.shape}, {labels.shape}")
    return ConformalThresholds(
        coverage=coverage,
        negative_at_most=min(1.0, -_least_usual(-scores[~labels], coverage)),
        positive_at_least=max(0.0, _least_usual(scores[labels], coverage)),
    )


def _least_usual(own: NDArray[np.float64], coverage: float) -> float:
    """Score of a class that a new case of it undercuts with a chance of 1 - coverage at most."""
    rank = int(np.floor((1 - coverage) * (len(own) + 1) + ROUNDING))
    return float(np.sort(own)[rank - 1]) if rank else -np.inf


def prediction_set(score: float, thresholds: ConformalThresholds) -> PredictionSet:
    """Classes that a score leaves open: one, both, or none."""
    open_classes = (
        (ScoreClass.NEGATIVE, score <= thresholds.negative_at_most),
        (ScoreClass.POSITIVE, score >= thresholds.positive_at_least),
    )
    return PredictionSet(
        coverage=thresholds.coverage,
        classes=tuple(name for name, possible in open_classes if possible),
    )
