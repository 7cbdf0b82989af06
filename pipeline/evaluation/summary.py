"""Compute every figure about a classifier's scores on one set of cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.metrics.decision_curve import NetBenefit, decision_curve
from pipeline.metrics.delong import auc
from pipeline.metrics.operating_points import operating_points
from pipeline.metrics.reliability import Reliability, reliability
from pipeline.metrics.scores import ScoredCases
from pipeline.metrics.statistics import (
    Estimate,
    Proportion,
    average_precision,
    patient_bootstrap,
    proportion,
    require_both_classes,
    roc_area,
)
from pipeline.metrics.thresholds import (
    GRID,
    PredictiveValues,
    ThresholdRow,
    predictive_values,
    threshold_row,
)

THRESHOLD = 0.5  #: where nobody says another
PREVALENCES = (0.01, 0.05, 0.2)  #: examples: screening, a ward, an outbreak
CHOSEN = "chosen"  #: name of the threshold that was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Figures of one set of cases.

    Attributes
    ----------
    auc
        Area under the ROC curve, DeLong's interval; takes cases for independent.
    auc_of_patients, average_precision
        With intervals of resampled patients.
    chosen
        The threshold that was fixed beforehand.
    grid
        Thresholds 0.1 to 0.9.
    points
        Thresholds chosen on these very cases, so optimistic.
    predictive_values
        Of `chosen` and `points` at other prevalences.
    """

    cases: int
    patients: int
    positives: int
    negatives: int
    prevalence: Proportion
    auc: Estimate
    auc_of_patients: Estimate
    average_precision: Estimate
    chosen: ThresholdRow
    grid: tuple[ThresholdRow, ...]
    points: tuple[ThresholdRow, ...]
    predictive_values: tuple[PredictiveValues, ...]
    reliability: Reliability
    decision_curve: tuple[NetBenefit, ...]


def evaluate(
    cases: ScoredCases,
    threshold: float = THRESHOLD,
    prevalences: Sequence[float] = PREVALENCES,
) -> Evaluation:
    """Compute every figure.

    Raises
    ------
    ValueError
        If a class has fewer than two cases, or a prevalence is not between 0 and 1.
    """
    labels, scores = cases.labels, cases.scores
    require_both_classes(labels, 2)
    chosen = threshold_row(labels, scores, threshold, CHOSEN)
    points = tuple(
        threshold_row(labels, scores, point.threshold, point.name)
        for point in operating_points(labels, scores)
    )
    return Evaluation(
        cases=len(labels),
        patients=cases.patient_count,
        positives=cases.positives,
        negatives=cases.negatives,
        prevalence=proportion(cases.positives, len(labels)),
        auc=auc(labels, scores),
        auc_of_patients=patient_bootstrap(cases, roc_area),
        average_precision=patient_bootstrap(cases, average_precision),
        chosen=chosen,
        grid=tuple(threshold_row(labels, scores, threshold) for threshold in GRID),
        points=points,
        predictive_values=tuple(
            predictive_values(row, prevalence)
            for row in (chosen, *points)
            for prevalence in prevalences
        ),
        reliability=reliability(labels, scores),
        decision_curve=decision_curve(labels, scores),
    )
