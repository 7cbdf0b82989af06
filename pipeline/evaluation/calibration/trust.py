"""Fit prediction sets and the feature reference of a model, by which its scores are doubted.

Validation cases choose, test cases measure; the training cases have no part in either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.cases.case_list import Case
from pipeline.cases.classifier_input import case_input
from pipeline.classifier.conformal import conformal_thresholds, prediction_set
from pipeline.classifier.input import NetworkInput
from pipeline.classifier.score import classify, lung_features
from pipeline.errors import PipelineError
from pipeline.evaluation.calibration.fit_reference import (
    QUANTILE,
    FittedReference,
    fit_reference,
)
from pipeline.metrics.statistics import Labels, Values, proportion, require_both_classes
from pipeline.model.loading import Models
from pipeline.model.manifest import Conformal, ConformalLevel, MeasuredShare
from pipeline.types import ScoreClass

COVERAGES = (0.9, 0.95)  #: the first is the one that is reported

Report = Callable[[int], None]  #: how many cases are done


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """Scores and features that a classifier gave to cases.

    Attributes
    ----------
    labels, scores
        ``(N,)``; scores are calibrated.
    features
        ``(N, features)``, averaged over the lungs.
    """

    patients: tuple[str, ...]
    labels: Labels
    scores: Values
    features: Values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trust:
    """Prediction sets and feature reference of a model, with what they are on test cases.

    Attributes
    ----------
    flagged
        Share of the test cases that lie beyond the reference's limit; None without any.
    """

    conformal: Conformal
    fitted: FittedReference
    cases: int
    quantile: float
    flagged: MeasuredShare | None
    source: str


def answers(cases: Sequence[Case], models: Models, report: Report) -> Answers:
    """Score cases, and take the features that their scores follow from.

    Raises
    ------
    PipelineError
        If one cannot be read, is no chest CT, or has no lungs.
    """
    scores, features = [], []
    for number, case in enumerate(cases):
        report(number)
        network_input = _input(case, models)
        scored = classify(network_input, models)
        scores.append(scored.classification.score)
        features.append(lung_features(scored.features, network_input.tensor[0, 1]))
    report(len(cases))
    return Answers(
        patients=tuple(case.patient for case in cases),
        labels=np.array([bool(case.label) for case in cases]),
        scores=np.array(scores),
        features=np.array(features),
    )


def _input(case: Case, models: Models) -> NetworkInput:
    try:
        return case_input(case, models, models.manifest.networks.classifier.input)
    except PipelineError as exc:
        raise PipelineError(f"{case.place}: {exc}") from exc


def calibrate_trust(validation: Answers, test: Answers) -> Trust:
    """Choose on the validation cases, measure on the test cases (which may be none).

    Raises
    ------
    ValueError
        If there is a class or there are patients missing among the validation cases.
    """
    require_both_classes(validation.labels, 1)
    fitted = fit_reference(validation.features, validation.labels, validation.patients)
    source = (
        f"{len(validation.labels)} validation cases of {len(set(validation.patients))} patients"
    )
    beyond = [fitted.reference.distance(case) > fitted.limit for case in test.features]
    return Trust(
        conformal=Conformal.model_validate(
            {
                "levels": [conformal_level(validation, test, coverage) for coverage in COVERAGES],
                "negatives": int(np.count_nonzero(~validation.labels)),
                "positives": int(np.count_nonzero(validation.labels)),
                "from": source,
            }
        ),
        fitted=fitted,
        cases=len(validation.labels),
        quantile=QUANTILE,
        flagged=measured(beyond),
        source=source,
    )


def conformal_level(validation: Answers, test: Answers, coverage: float) -> ConformalLevel:
    """Thresholds for one promise, and how it was kept."""
    chosen = conformal_thresholds(validation.scores, validation.labels, coverage)
    sets = [prediction_set(score, chosen).classes for score in test.scores.tolist()]
    measured_of = {
        name: measured(
            name in classes
            for classes, truth in zip(sets, test.labels, strict=True)
            if truth == label
        )
        for name, label in ((ScoreClass.NEGATIVE, False), (ScoreClass.POSITIVE, True))
    }
    return ConformalLevel(
        coverage=coverage,
        negative_at_most=chosen.negative_at_most,
        positive_at_least=chosen.positive_at_least,
        measured_negative=measured_of[ScoreClass.NEGATIVE],
        measured_positive=measured_of[ScoreClass.POSITIVE],
    )


def measured(hits: Iterable[bool]) -> MeasuredShare | None:
    """Share of hits with Wilson's interval; None of none."""
    outcomes = list(hits)
    if not outcomes:
        return None
    share = proportion(sum(outcomes), len(outcomes))
    return MeasuredShare(count=share.count, cases=share.total, low=share.low, high=share.high)
