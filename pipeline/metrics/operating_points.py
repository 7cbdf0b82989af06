"""Choose operating points: thresholds that keep a promise on given cases.

Sensitivity and specificity at a threshold that was chosen on the same cases are optimistic;
the text of a point says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.metrics.statistics import Labels, Proportion, Values, require_both_classes
from pipeline.metrics.thresholds import threshold_row

PROMISED = 0.95  #: least sensitivity or specificity of the two other points
YOUDEN, SENSITIVE, SPECIFIC = "youden", "sensitivity-95", "specificity-95"
RULES = {
    YOUDEN: "largest sensitivity + specificity (Youden's index)",
    SENSITIVE: f"sensitivity of {PROMISED} or more, at the best specificity",
    SPECIFIC: f"specificity of {PROMISED} or more, at the best sensitivity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenPoint:
    """A threshold, with its sensitivity and specificity on the cases that chose it."""

    name: str
    threshold: float
    sensitivity: Proportion
    specificity: Proportion

    @property
    def source(self) -> str:
        """Where the threshold comes from, for a manifest."""
        return (
            f"{RULES[self.name]}; reached sensitivity {_in_words(self.sensitivity)} and "
            f"specificity {_in_words(self.specificity)} on the cases that chose it"
        )


def operating_points(labels: Labels, scores: Values) -> tuple[ChosenPoint, ...]:
    """Choose the three points, each in the middle of the widest gap that keeps its promise.

    Raises
    ------
    ValueError
        If a class is missing.
    """
    require_both_classes(labels, 1)
    thresholds, gaps = candidates(scores)
    sensitivity = 1 - _share_up_to(thresholds, scores[labels])
    specificity = _share_up_to(thresholds, scores[~labels])
    orders = {
        YOUDEN: (sensitivity + specificity,),
        SENSITIVE: (sensitivity >= PROMISED, specificity, sensitivity),
        SPECIFIC: (specificity >= PROMISED, sensitivity, specificity),
    }
    return tuple(
        _chosen(labels, scores, name, float(thresholds[_best(*order, gaps)]))
        for name, order in orders.items()
    )


def candidates(scores: Values) -> tuple[Values, Values]:
    """Thresholds between neighbouring scores, and the widths of their gaps.

    The last is 1, above which no score is: specificity 1 can always be had.
    """
    edges = np.unique(np.r_[0.0, scores, 1.0])
    return np.r_[(edges[1:] + edges[:-1]) / 2, 1.0], np.r_[np.diff(edges), 0.0]


def _share_up_to(thresholds: Values, scores: Values) -> Values:
    """Share of the scores that do not lie above each threshold."""
    share: Values = np.searchsorted(np.sort(scores), thresholds, side="right") / len(scores)
    return share


def _best(*keys: Values | Labels) -> int:
    """Index of the largest first key; the next ones settle ties."""
    return int(np.lexsort([np.round(key.astype(float), 12) for key in reversed(keys)])[-1])


def _chosen(labels: Labels, scores: Values, name: str, threshold: float) -> ChosenPoint:
    row = threshold_row(labels, scores, threshold, name)
    return ChosenPoint(
        name=name,
        threshold=threshold,
        sensitivity=row.sensitivity,
        specificity=row.specificity,
    )


def _in_words(share: Proportion) -> str:
    return f"{share.value:.3f} ({share.count}/{share.total})"
