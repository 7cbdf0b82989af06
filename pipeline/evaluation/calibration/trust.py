"""Find out how far a model's score may be trusted: prediction sets, and its kind of cases.

Validation cases choose, test cases measure; the training cases have no part in either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.cases.case_list import Case
from pipeline.cases.classifier_input import see_case
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

Told = Callable[[int], None]  #: how many cases are done


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What a classifier made of cases.

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
    """What was found out.

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


def answers(cases: Sequence[Case], models: Models, told: Told) -> Answers:
    """Show cases to a classifier.

    Raises
    ------
    PipelineError
        If one cannot be read, is no chest CT, or has no lungs.
    """
    scores, features = [], []
    for number, case in enumerate(cases):
        told(number)
        seen = _seen(case, models)
        scored = classify(seen, models)
        scores.append(scored.classification.score)
        features.append(lung_features(scored.features, seen.tensor[0, 1]))
    told(len(cases))
    return Answers(
        patients=tuple(case.patient for case in cases),
        labels=np.array([bool(case.label) for case in cases]),
        scores=np.array(scores),
        features=np.array(features),
    )


def _seen(case: Case, models: Models) -> NetworkInput:
    try:
        return see_case(case, models, models.manifest.networks.classifier.input)
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
    beyond = [fitted.reference.distance(each) > fitted.limit for each in test.features]
    return Trust(
        conformal=Conformal.model_validate(
            {
                "levels": [conformal_level(validation, test, each) for each in COVERAGES],
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
    kept = {
        name: measured(
            name in found for found, of in zip(sets, test.labels, strict=True) if of == label
        )
        for name, label in ((ScoreClass.NEGATIVE, False), (ScoreClass.POSITIVE, True))
    }
    return ConformalLevel(
        coverage=coverage,
        negative_at_most=chosen.negative_at_most,
        positive_at_least=chosen.positive_at_least,
        measured_negative=kept[ScoreClass.NEGATIVE],
        measured_positive=kept[ScoreClass.POSITIVE],
    )


def measured(hits: Iterable[bool]) -> MeasuredShare | None:
    """Share of hits with Wilson's interval; None of none."""
    found = list(hits)
    if not found:
        return None
    share = proportion(sum(found), len(found))
    return MeasuredShare(count=share.count, cases=share.total, low=share.low, high=share.high)
