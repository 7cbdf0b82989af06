"""Baselines without a network: grey histograms of the lungs, classified.

Wang et al. 2020, Table IV: 8-bit grey inside the lung mask in 32 or 64 bins; support vector
machines and a random forest. What the paper leaves open (scaling, choice of parameters) is done
as usual: standardised bins, parameters by cross-validation with whole patients held out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from pipeline.cases.prepared import Prepared
from pipeline.classifier.input import window
from pipeline.errors import PipelineError

HISTOGRAM_WINDOW_HU = (-1200.0, 600.0)
FOLDS = 5
FEWEST_PATIENTS = 2  #: of each label, one in each of two folds
COSTS = [2.0**power for power in range(-5, 11, 3)]  #: C of the support vector machines
WIDTHS = [2.0**power for power in range(-6, 5, 2)]  #: gamma, times 1 / number of bins
TREES = 500

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A histogram and its classifier.

    Attributes
    ----------
    bins
        Of the histogram.
    make
        Builds the classifier of a seed and a number of bins, its parameters to be searched.
    """

    bins: int
    make: Callable[[int, int], GridSearchCV]


def histogram(case: Prepared, bins: int) -> Values:
    """Share of the lung voxels in each bin of grey, 0 to 1 after windowing: ``(bins,)``."""
    grey = window(case.hu[case.lungs].astype(np.float32), HISTOGRAM_WINDOW_HU)
    counts, _ = np.histogram(grey, bins, (0, 1))
    shares: Values = counts / max(1, counts.sum())
    return shares


def fit_baseline(
    baseline: Baseline, cases: Values, labels: Sequence[int], patients: Sequence[str], seed: int
) -> GridSearchCV:
    """Fit on histograms ``(n, bins)``; patients are kept whole while parameters are chosen.

    Raises
    ------
    PipelineError
        If there are fewer than `FEWEST_PATIENTS` of a label.
    """
    search = baseline.make(seed, baseline.bins)
    search.cv = _folds(labels, patients)
    return search.fit(cases, labels, groups=patients)


def _folds(labels: Sequence[int], patients: Sequence[str]) -> GroupKFold | StratifiedGroupKFold:
    """Choose folds that have both labels each; stratified and fewer only where patients are few."""
    of_label = Counter(label for _, label in set(zip(patients, labels, strict=True)))
    fewest = min(of_label[0], of_label[1])
    if fewest < FEWEST_PATIENTS:
        raise PipelineError(
            f"at least {FEWEST_PATIENTS} patients of each label expected to choose parameters on,"
            f" got {of_label[1]} positive and {of_label[0]} negative"
        )
    plain = GroupKFold(min(FOLDS, len(set(patients))))
    parts = (part for _, part in plain.split(labels, groups=patients))
    if all({labels[place] for place in part} == {0, 1} for part in parts):
        return plain
    return StratifiedGroupKFold(min(FOLDS, fewest))


def scores_of(fitted: GridSearchCV, cases: Values) -> Values:
    """Score 0 to 1 of each histogram; one half is where the classifier itself decides."""
    if hasattr(fitted, "predict_proba"):
        shares: Values = fitted.predict_proba(cases)[:, 1]
        return shares
    scores: Values = special.expit(fitted.decision_function(cases))
    return scores


def _search(estimator: object, grid: Mapping[str, Sequence[Any]]) -> GridSearchCV:
    return GridSearchCV(make_pipeline(StandardScaler(), estimator), grid, scoring="roc_auc")


BASELINES: Mapping[str, Baseline] = {
    "histogram-32-rbf-svm": Baseline(
        bins=32,
        make=lambda seed, bins: _search(
            SVC(random_state=seed),
            {"svc__C": COSTS, "svc__gamma": [width / bins for width in WIDTHS]},
        ),
    ),
    "histogram-64-linear-svm": Baseline(
        bins=64,
        make=lambda seed, bins: _search(
            LinearSVC(random_state=seed, max_iter=20_000), {"linearsvc__C": COSTS}
        ),
    ),
    "histogram-32-random-forest": Baseline(
        bins=32,
        make=lambda seed, bins: _search(
            RandomForestClassifier(TREES, random_state=seed),
            {"randomforestclassifier__min_samples_leaf": [1, 4]},
        ),
    ),
}
