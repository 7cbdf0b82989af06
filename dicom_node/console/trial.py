"""Try another threshold on the scores that are stored; nothing is changed by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.metrics.statistics import Estimate, proportion

BINS = 50  #: of the histogram
FEW = 30  #: labelled cases below which local figures are no more than a hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A series that a reader has said to be positive or negative."""

    score: float
    is_positive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What a threshold makes of the stored scores.

    Attributes
    ----------
    positives
        Series above it, as `pipeline.types.Classification.positive` has it.
    sensitivity, specificity
        Of labelled cases; None without any.
    ppv, npv
        Predictive values at a prevalence, of these; None where they are not known.
    """

    threshold: float
    positives: int
    per_day: float
    sensitivity: Estimate | None
    specificity: Estimate | None
    ppv: float | None
    npv: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Two thresholds side by side.

    Attributes
    ----------
    changes
        Series that change sides.
    bars
        Number of series in each of `BINS` equal ranges of the score.
    """

    now: Side
    then: Side
    series: int
    changes: int
    labelled: int
    bars: tuple[int, ...]

    @property
    def is_few(self) -> bool:
        """Whether there are too few labelled cases for the figures to be more than a hint."""
        return self.labelled < FEW


def tried(
    scores: Sequence[float],
    labelled: Sequence[Labelled],
    *,
    now: float,
    then: float,
    days: float,
    prevalence: float,
) -> Trial:
    """Compare two thresholds on stored scores.

    Parameters
    ----------
    prevalence
        Share of patients with the disease, 0 to 1, for the predictive values.
    """
    array = np.asarray(scores, float)
    low, high = sorted((now, then))
    bars, _ = np.histogram(array, bins=BINS, range=(0.0, 1.0))
    return Trial(
        now=_side(array, labelled, now, days, prevalence),
        then=_side(array, labelled, then, days, prevalence),
        series=len(array),
        changes=int(((array > low) & (array <= high)).sum()),
        labelled=len(labelled),
        bars=tuple(int(count) for count in bars),
    )


def _side(
    scores: np.ndarray,
    labelled: Sequence[Labelled],
    threshold: float,
    days: float,
    prevalence: float,
) -> Side:
    positives = int((scores > threshold).sum())
    ill = [case.score > threshold for case in labelled if case.is_positive]
    well = [case.score <= threshold for case in labelled if not case.is_positive]
    sensitivity = proportion(sum(ill), len(ill)) if ill else None
    specificity = proportion(sum(well), len(well)) if well else None
    ppv = npv = None
    if sensitivity is not None and specificity is not None:
        ppv, npv = predictive_values(sensitivity.value, specificity.value, prevalence)
    return Side(
        threshold=threshold,
        positives=positives,
        per_day=positives / days,
        sensitivity=sensitivity,
        specificity=specificity,
        ppv=ppv,
        npv=npv,
    )


def predictive_values(
    sensitivity: float, specificity: float, prevalence: float
) -> tuple[float | None, float | None]:
    """Compute the positive and the negative predictive value by Bayes' theorem."""
    true_positive, false_positive = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    true_negative, false_negative = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return (
        _share(true_positive, true_positive + false_positive),
        _share(true_negative, true_negative + false_negative),
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
