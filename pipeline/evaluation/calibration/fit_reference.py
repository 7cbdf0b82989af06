"""Fit the feature reference of a model: class means, covariance, and the limit of the distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import GroupKFold

from pipeline.metrics.statistics import Labels, Values
from pipeline.model.feature_reference import Reference

FOLDS = 5
QUANTILE = 0.99  #: of the training's kind of cases that are not to be doubted
SCALE_FLOOR = 0.1  #: of the mean deviation: a feature that never moved must not decide alone


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedReference:
    """A reference, and the distance that the share `QUANTILE` stays within."""

    reference: Reference
    limit: float


def fit_reference(features: Values, labels: Labels, patients: Sequence[str]) -> FittedReference:
    """Fit a reference to cases that the network was not trained on.

    The limit is taken over cases each of which is held against a reference made without its
    patient. With fewer than 100 cases it is the largest of these distances.

    Parameters
    ----------
    features
        ``(N, features)``: `pipeline.classifier.score.lung_features` of each case.
    labels
        ``(N,)``, True for positive.

    Raises
    ------
    ValueError
        If there are fewer than `FOLDS` patients.
    """
    if len(set(patients)) < FOLDS:
        raise ValueError(f"at least {FOLDS} patients expected, got {len(set(patients))}")
    distances = [
        reference_of(features[near], labels[near]).distance(features[index])
        for near, far in GroupKFold(FOLDS).split(features, groups=patients)
        for index in far
    ]
    return FittedReference(
        reference=reference_of(features, labels),
        limit=float(np.quantile(distances, QUANTILE, method="higher")),
    )


def reference_of(features: Values, labels: Labels) -> Reference:
    """Mean of each class, and one covariance for all, shrunk (Ledoit & Wolf 2004)."""
    means = {label: features[labels == label].mean(axis=0) for label in np.unique(labels)}
    apart = features - np.stack([means[label] for label in labels])
    scale = apart.std(axis=0)
    scale = np.maximum(scale, SCALE_FLOOR * scale.mean())
    precision = LedoitWolf(assume_centered=True).fit(apart / scale).get_precision()
    return Reference(
        means=np.stack(list(means.values())), precision=precision / np.outer(scale, scale)
    )
