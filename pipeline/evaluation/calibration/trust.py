"""Fit prediction sets and the feature reference of a model, by which its scores are doubted.

Validation cases choose, test cases measure; the training cases have no part in either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from pipeline.cases.case_list import Case
from pipeline.cases.classifier_input import case_input
from pipeline.cases.scanners import CaseScanner
from pipeline.classifier.conformal import (
    ConformalThresholds,
    conformal_thresholds,
    fewest_cases,
    prediction_set,
    rank_of,
)
from pipeline.classifier.input import NetworkInput
from pipeline.classifier.score import classify, lung_features
from pipeline.errors import PipelineError
from pipeline.evaluation.calibration.fit_reference import (
    QUANTILE,
    FittedReference,
    fit_reference,
)
from pipeline.metrics.statistics import CONFIDENCE, Labels, Values, proportion, require_both_classes
from pipeline.model.loading import Models
from pipeline.model.manifest import Conformal, ConformalLevel, MeasuredShare, ScannerGroup
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
    scanners
        Of each case; empty where nothing is fitted by scanner.
    """

    patients: tuple[str, ...]
    labels: Labels
    scores: Values
    features: Values
    scanners: tuple[CaseScanner, ...] = ()

    def of_group(self, group: str) -> Answers:
        """Give the answers to the cases of one group of scanners."""
        places = [place for place, one in enumerate(self.scanners) if one.group == group]
        return Answers(
            patients=tuple(self.patients[place] for place in places),
            labels=self.labels[places],
            scores=self.scores[places],
            features=self.features[places],
            scanners=tuple(self.scanners[place] for place in places),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trust:
    """Prediction sets and feature reference of a model, with what they are on test cases.

    Attributes
    ----------
    flagged
        Share of the test cases that lie beyond the reference's limit; None without any.
    groups
        Groups of scanners by name; empty where nothing is fitted by scanner.
    """

    conformal: Conformal
    groups: Mapping[str, ScannerGroup]
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
    beyond = [fitted.reference.distance(case) > fitted.limit for case in test.features]
    conformal = conformal_of(validation, test, COVERAGES)
    groups = sorted({one.group for one in validation.scanners})
    return Trust(
        conformal=conformal,
        groups={
            group: scanner_group(validation.of_group(group), test.of_group(group), conformal)
            for group in groups
        },
        fitted=fitted,
        cases=len(validation.labels),
        quantile=QUANTILE,
        flagged=measured(beyond),
        source=conformal.source,
    )


def conformal_of(validation: Answers, test: Answers, coverages: Sequence[float]) -> Conformal:
    """Choose the prediction sets of each promise, and measure how each was kept."""
    patients = len(set(validation.patients))
    return Conformal.model_validate(
        {
            "levels": [conformal_level(validation, test, coverage) for coverage in coverages],
            "negatives": int(np.count_nonzero(~validation.labels)),
            "positives": int(np.count_nonzero(validation.labels)),
            "from": f"{len(validation.labels)} validation cases of {patients} patients",
        }
    )


def scanner_group(validation: Answers, test: Answers, of_all: Conformal) -> ScannerGroup:
    """Choose the prediction sets of a group of scanners for the promises that it has cases for.

    A promise needs `fewest_cases` patients of each class: with fewer no case could be its bound.

    Parameters
    ----------
    validation, test
        Of the group alone.
    of_all
        Sets of all scanners, which are measured on the same test cases.
    """
    labels = validation.labels.tolist()
    patients = Counter(label for _, label in set(zip(validation.patients, labels, strict=True)))
    fewest = min(patients[False], patients[True])
    coverages = [one for one in COVERAGES if fewest >= fewest_cases(one)]
    negatives = int(np.count_nonzero(~validation.labels))
    positives = len(validation.labels) - negatives
    group = ScannerGroup(
        scanners=tuple(sorted({one.name for one in (*validation.scanners, *test.scanners)})),
        negatives=negatives,
        positives=positives,
    )
    if not coverages:
        return group
    level = of_all.levels[0]
    by_all = measured_level(test, level.coverage, level.negative_at_most, level.positive_at_least)
    return group.model_copy(
        update={
            "conformal": conformal_of(validation, test, coverages),
            "kept_negative": likely_kept(negatives, coverages[0]),
            "kept_positive": likely_kept(positives, coverages[0]),
            "by_all_negative": by_all.measured_negative,
            "by_all_positive": by_all.measured_positive,
        }
    )


def likely_kept(cases: int, coverage: float) -> tuple[float, float]:
    """Share of new cases of a class whose own class is in the set, within 95 %.

    It is Beta distributed over the draws of the cases that choose the bound, which are taken for
    independent. Source: Vovk 2012, arXiv:1209.2673; Angelopoulos & Bates, arXiv:2107.07511,
    section 3.2.
    """
    rank = rank_of(cases, coverage)
    low, high = stats.beta.interval(CONFIDENCE, cases + 1 - rank, rank)
    return float(low), float(high)


def conformal_level(validation: Answers, test: Answers, coverage: float) -> ConformalLevel:
    """Thresholds for one promise, and how it was kept."""
    chosen = conformal_thresholds(validation.scores, validation.labels, coverage)
    return measured_level(test, coverage, chosen.negative_at_most, chosen.positive_at_least)


def measured_level(
    test: Answers, coverage: float, negative_at_most: float, positive_at_least: float
) -> ConformalLevel:
    """Measure what thresholds keep of cases that had no part in them."""
    chosen = ConformalThresholds(
        coverage=coverage,
        negative_at_most=negative_at_most,
        positive_at_least=positive_at_least,
    )
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
        negative_at_most=negative_at_most,
        positive_at_least=positive_at_least,
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
