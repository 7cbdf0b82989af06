"""Count the calls at a threshold, and give their shares under the right names.

- sensitivity = TP / (TP + FN): share of the positive cases that are called positive
- specificity = TN / (TN + FP): share of the negative cases that are called negative
- PPV = TP / (TP + FP): share of the positive calls that are right
- NPV = TN / (TN + FN): share of the negative calls that are right

PPV and NPV depend on the prevalence, sensitivity and specificity do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.metrics.statistics import (
    Estimate,
    Labels,
    Proportion,
    Values,
    proportion,
    require_both_classes,
)

GRID = tuple(tenth / 10 for tenth in range(1, 10))


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdRow:
    """One threshold: four counts and the five shares they give.

    Attributes
    ----------
    name
        Of an operating point, or the threshold in digits.
    threshold
        Scores strictly above it are called positive.
    ppv, npv
        None where no case is called so.
    """

    name: str
    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    accuracy: Proportion
    sensitivity: Proportion
    specificity: Proportion
    ppv: Proportion | None
    npv: Proportion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictiveValues:
    """PPV and NPV that a threshold would have at a given prevalence.

    Attributes
    ----------
    ppv, npv
        None where no case would be called so.
    """

    name: str
    threshold: float
    prevalence: float
    ppv: Estimate | None
    npv: Estimate | None


def threshold_row(labels: Labels, scores: Values, threshold: float, name: str = "") -> ThresholdRow:
    """Count the calls at a threshold.

    Raises
    ------
    ValueError
        If a class is missing.
    """
    require_both_classes(labels, 1)
    called = scores > threshold
    tp = int(np.count_nonzero(called & labels))
    fp = int(np.count_nonzero(called & ~labels))
    fn = int(np.count_nonzero(labels)) - tp
    tn = len(labels) - tp - fp - fn
    return ThresholdRow(
        name=name or f"{threshold:g}",
        threshold=threshold,
        true_positives=tp,
        false_positives=fp,
        false_negatives=fn,
        true_negatives=tn,
        accuracy=proportion(tp + tn, tp + fp + fn + tn),
        sensitivity=proportion(tp, tp + fn),
        specificity=proportion(tn, tn + fp),
        ppv=proportion(tp, tp + fp) if tp + fp else None,
        npv=proportion(tn, tn + fn) if tn + fn else None,
    )


def predictive_values(row: ThresholdRow, prevalence: float) -> PredictiveValues:
    """PPV and NPV at another prevalence, if sensitivity and specificity carry over (Bayes).

    The bounds are what both Wilson intervals allow together, so wider than 95 %.

    Raises
    ------
    ValueError
        If the prevalence is not between 0 and 1.
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"expected a prevalence between 0 and 1, got {prevalence:g}")
    sensitivity, specificity = row.sensitivity, row.specificity
    return PredictiveValues(
        name=row.name,
        threshold=row.threshold,
        prevalence=prevalence,
        ppv=right_calls(sensitivity, specificity, prevalence),
        npv=right_calls(specificity, sensitivity, 1 - prevalence),
    )


def right_calls(of_class: Estimate, of_other: Estimate, share: float) -> Estimate | None:
    """Share of the calls of a class that are right, where `share` of the cases are of it.

    None where no case is called so.
    """

    def right(found: float, other_found: float) -> float:
        hits, false = found * share, (1 - other_found) * (1 - share)
        return hits / (hits + false)

    if of_class.value == 0 and of_other.value == 1:
        return None
    return Estimate(
        value=right(of_class.value, of_other.value),
        low=right(of_class.low, of_other.low),
        high=right(of_class.high, of_other.high),
    )
