"""Figures of a model on the cases of this site of which the truth is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dicom_node.console.feedback.truth import Labelled
from pipeline.metrics import delong
from pipeline.metrics.reliability import Reliability, reliability
from pipeline.metrics.scores import ScoredCases, scored_cases
from pipeline.metrics.statistics import (
    Estimate,
    Proportion,
    patient_bootstrap,
    proportion,
    roc_area,
)
from pipeline.metrics.thresholds import PredictiveValues, ThresholdRow, predictive_values
from pipeline.metrics.thresholds import threshold_row as row_at

FEW = 30  #: cases below which figures are no more than a hint
LEAST = 2  #: cases of each class without which there is no area under the curve
RESAMPLES = 400  #: of patients; the page waits for them


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How often results agree with the truth, of one scanner.

    Attributes
    ----------
    cases
        All, of which some are indeterminate.
    share
        Of the others; None without any.
    """

    scanner: str
    cases: int
    indeterminate: int
    share: Proportion | None

    @property
    def is_few(self) -> bool:
        """Whether there are too few cases for the share to be more than a hint."""
        return self.cases - self.indeterminate < FEW


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """Figures; those that need both classes are None without them.

    Attributes
    ----------
    by_diagnosis
        Cases whose truth is a final diagnosis; of the others, readers say so.
    indeterminate
        Cases of which the result is indeterminate; at the threshold they are not positive.
    by_patients
        Whether the interval of the area resamples patients, as some have several cases; else it
        is DeLong's.
    roc
        Share of negative and of positive cases above each threshold, rising.
    row, values
        At the threshold in use; the predictive values at a prevalence.
    """

    cases: int
    positives: int
    by_diagnosis: int
    indeterminate: int
    agreements: tuple[Agreement, ...]
    area: Estimate | None = None
    by_patients: bool = False
    roc: tuple[tuple[float, float], ...] = ()
    reliability: Reliability | None = None
    row: ThresholdRow | None = None
    values: PredictiveValues | None = None

    @property
    def is_few(self) -> bool:
        """Whether there are too few cases for the figures to be more than a hint."""
        return self.cases < FEW


def performance(
    labelled: Sequence[Labelled], *, threshold: float, prevalence: float
) -> Performance:
    """Compute the figures.

    Parameters
    ----------
    prevalence
        Share of patients with the disease, 0 to 1, for the predictive values.
    """
    positives = sum(case.is_positive for case in labelled)
    counts = Performance(
        cases=len(labelled),
        positives=positives,
        by_diagnosis=sum(case.by_diagnosis for case in labelled),
        indeterminate=sum(case.called_positive is None for case in labelled),
        agreements=tuple(_agreements(labelled)),
    )
    if min(positives, len(labelled) - positives) < LEAST:
        return counts
    cases = scored_cases((case.patient, case.is_positive, case.score) for case in labelled)
    by_patients = cases.patient_count < len(labelled)
    row = row_at(cases.labels, cases.scores, threshold)
    return replace(
        counts,
        area=_area(cases, by_patients=by_patients),
        by_patients=by_patients,
        roc=tuple(_roc(cases)),
        reliability=reliability(cases.labels, cases.scores),
        row=row,
        values=predictive_values(row, prevalence),
    )


def _area(cases: ScoredCases, *, by_patients: bool) -> Estimate:
    if by_patients:
        return patient_bootstrap(cases, roc_area, resamples=RESAMPLES)
    return delong.auc(cases.labels, cases.scores)


def _roc(cases: ScoredCases) -> list[tuple[float, float]]:
    """List the corners of the curve, one for each score that occurs."""
    thresholds, place = np.unique(cases.scores, return_inverse=True)
    hits = np.bincount(place, cases.labels, len(thresholds))[::-1].cumsum()
    false = np.bincount(place, ~cases.labels, len(thresholds))[::-1].cumsum()
    return [
        (0.0, 0.0),
        *zip((false / false[-1]).tolist(), (hits / hits[-1]).tolist(), strict=True),
    ]


def _agreements(labelled: Sequence[Labelled]) -> list[Agreement]:
    """List the scanners, those with the most cases first."""
    by_scanner: dict[str, list[Labelled]] = defaultdict(list)
    for case in labelled:
        by_scanner[case.scanner].append(case)
    found = [_agreement(scanner, cases) for scanner, cases in by_scanner.items()]
    return sorted(found, key=lambda one: (-one.cases, one.scanner))


def _agreement(scanner: str, cases: Sequence[Labelled]) -> Agreement:
    decided = [case for case in cases if case.called_positive is not None]
    agree = sum(case.is_positive is case.called_positive for case in decided)
    return Agreement(
        scanner=scanner,
        cases=len(cases),
        indeterminate=len(cases) - len(decided),
        share=proportion(agree, len(decided)) if decided else None,
    )
