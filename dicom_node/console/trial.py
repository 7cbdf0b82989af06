"""Try another threshold on the scores that are stored; nothing is changed by it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dicom_node.console.feedback.performance import FEW
from dicom_node.console.feedback.truth import Labelled
from pipeline.decision import Bounds
from pipeline.metrics.statistics import Estimate, proportion
from pipeline.metrics.thresholds import right_calls

BINS = 50  #: of the histogram
COUNTED = re.compile(
    r"sensitivity [0-9.]+ \(([0-9]+)/([0-9]+)\) and specificity [0-9.]+ \(([0-9]+)/([0-9]+)\)"
)
"""Words in which `pipeline.metrics.operating_points` says how a threshold was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What a threshold, or an indeterminate range, makes of the stored scores.

    Attributes
    ----------
    positives
        Series above it, as `pipeline.types.Classification.positive` has it.
    indeterminate
        Series within the range; for sensitivity and specificity they are not positive.
    sensitivity, specificity
        Of labelled cases; None without any.
    ppv, npv
        Predictive values at a prevalence, of these; None where they are not known.
    """

    bounds: Bounds
    positives: int
    indeterminate: int
    per_day: float
    sensitivity: Estimate | None
    specificity: Estimate | None
    ppv: Estimate | None
    npv: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPoint:
    """A threshold of the model's card with its figures, and predictive values at a prevalence."""

    name: str
    threshold: float
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate | None
    npv: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The bounds of now and a threshold side by side.

    Attributes
    ----------
    changes
        Series of which the answer changes; an indeterminate one changes whatever is tried.
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
    scores: Sequence[float] | np.ndarray,
    labelled: Sequence[Labelled],
    *,
    now: Bounds,
    then: Bounds,
    days: float,
    prevalence: float,
) -> Trial:
    """Compare the bounds of now with others on stored scores.

    Parameters
    ----------
    prevalence
        Share of patients with the disease, 0 to 1, for the predictive values.
    """
    array = np.asarray(scores, float)
    bars, _ = np.histogram(array, bins=BINS, range=(0.0, 1.0))
    return Trial(
        now=_side(array, labelled, now, days, prevalence),
        then=_side(array, labelled, then, days, prevalence),
        series=len(array),
        changes=int(changed(array, now, then).sum()),
        labelled=len(labelled),
        bars=tuple(int(count) for count in bars),
    )


def changed(scores: np.ndarray, now: Bounds, then: Bounds) -> np.ndarray:
    """Mark the scores of which the answer is another, as an array of bool of the same shape."""
    above = (scores > now.threshold) != (scores > then.threshold)
    indeterminate = _indeterminate(scores, now) != _indeterminate(scores, then)
    marked: np.ndarray = above | indeterminate
    return marked


def _indeterminate(scores: np.ndarray, bounds: Bounds) -> np.ndarray:
    if bounds.indeterminate_from is None:
        return np.zeros(scores.shape, bool)
    within: np.ndarray = (scores >= bounds.indeterminate_from) & (scores <= bounds.threshold)
    return within


def _side(
    scores: np.ndarray,
    labelled: Sequence[Labelled],
    bounds: Bounds,
    days: float,
    prevalence: float,
) -> Side:
    threshold = bounds.threshold
    positives = int((scores > threshold).sum())
    ill = [case.score > threshold for case in labelled if case.is_positive]
    well = [case.score <= threshold for case in labelled if not case.is_positive]
    sensitivity = proportion(sum(ill), len(ill)) if ill else None
    specificity = proportion(sum(well), len(well)) if well else None
    ppv = npv = None
    if sensitivity is not None and specificity is not None:
        ppv = right_calls(sensitivity, specificity, prevalence)
        npv = right_calls(specificity, sensitivity, 1 - prevalence)
    return Side(
        bounds=bounds,
        positives=positives,
        indeterminate=int(_indeterminate(scores, bounds).sum()),
        per_day=positives / days,
        sensitivity=sensitivity,
        specificity=specificity,
        ppv=ppv,
        npv=npv,
    )


def card_points(points: Mapping[str, Mapping[str, Any]], prevalence: float) -> list[CardPoint]:
    """List the thresholds of a card that say how many cases they are of, the lowest first.

    A threshold under two names is listed once.
    """
    found: dict[float, CardPoint] = {}
    for name, point in points.items():
        threshold, counted = float(point["threshold"]), COUNTED.search(str(point.get("from", "")))
        if counted is None:
            continue
        of_ill, ill, of_well, well = map(int, counted.groups())
        if not (of_ill <= ill and of_well <= well and ill and well):
            continue
        sensitivity, specificity = proportion(of_ill, ill), proportion(of_well, well)
        found.setdefault(
            threshold,
            CardPoint(
                name=name,
                threshold=threshold,
                sensitivity=sensitivity,
                specificity=specificity,
                ppv=right_calls(sensitivity, specificity, prevalence),
                npv=right_calls(specificity, sensitivity, 1 - prevalence),
            ),
        )
    return [found[threshold] for threshold in sorted(found)]
