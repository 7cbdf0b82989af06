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

from pipeline.model.manifest import Conformal
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
        ``(N,)``, True for positive. A class with too few cases for the promise, see
        `fewest_cases`, is in every set.
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
    rank = rank_of(len(own), coverage)
    return float(np.sort(own)[rank - 1]) if rank else -np.inf


def rank_of(cases: int, coverage: float) -> int:
    """Place of the case of a class that is its bound, from the least usual one; 0 if none can be.

    Of as many new cases, less one, the promised share must be no less usual than it.
    """
    return int(np.floor((1 - coverage) * (cases + 1) + ROUNDING))


def fewest_cases(coverage: float) -> int:
    """Cases of a class without which no case of it can be its bound: 9 for 0.9, 19 for 0.95."""
    return int(np.ceil(coverage / (1 - coverage) - ROUNDING))


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


def open_classes(score: float, conformal: Conformal | None) -> PredictionSet | None:
    """Prediction set of a score at the first of the levels; None without any sets."""
    if conformal is None:
        return None
    level = conformal.levels[0]
    thresholds = ConformalThresholds(
        coverage=level.coverage,
        negative_at_most=level.negative_at_most,
        positive_at_least=level.positive_at_least,
    )
    return prediction_set(score, thresholds)
