"""Fit temperature and operating points of a model to its scores of labelled cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from pipeline.metrics.operating_points import ChosenPoint, operating_points
from pipeline.metrics.reliability import Reliability, logits, reliability
from pipeline.metrics.statistics import Labels, Values, require_both_classes

#: Bounds of a model's temperature: cases that a threshold separates would drive it to 0.
TEMPERATURES = (0.3, 10.0)
AT_BOUND = 0.01  #: of the temperature's logarithm


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibrated:
    """Temperature and operating points fitted to scores, and the scores at that temperature.

    Attributes
    ----------
    temperature
        To be written in place of ``old_temperature``.
    points
        On the recalibrated scores.
    scores
        ``(N,)``, recalibrated.
    before, after
        Agreement of the scores with the labels; `after` is optimistic, since the same cases
        chose the temperature.
    """

    old_temperature: float
    temperature: float
    points: tuple[ChosenPoint, ...]
    scores: Values
    before: Reliability
    after: Reliability

    @property
    def at_bound(self) -> bool:
        """Whether the temperature was kept from going further: it says little then."""
        gaps = np.abs(np.log(TEMPERATURES) - np.log(self.temperature))
        return bool(gaps.min() < AT_BOUND)


def calibrate_scores(labels: Labels, scores: Values, old_temperature: float) -> Calibrated:
    """Fit the temperature, recalibrate, choose the operating points.

    Parameters
    ----------
    labels, scores
        ``(N,)``; the scores as the model gives them with its old temperature.

    Raises
    ------
    ValueError
        If a class is missing.
    """
    require_both_classes(labels, 1)
    temperature = fit_temperature(labels, logits(scores) * old_temperature)
    renewed = rescaled(scores, temperature / old_temperature)
    return Calibrated(
        old_temperature=old_temperature,
        temperature=temperature,
        points=operating_points(labels, renewed),
        scores=renewed,
        before=reliability(labels, scores),
        after=reliability(labels, renewed),
    )


def fit_temperature(labels: Labels, margins: Values) -> float:
    """Temperature of the smallest cross-entropy, within `TEMPERATURES`.

    Parameters
    ----------
    margins
        ``(N,)``, logit of positive less logit of negative, before any temperature.

    Notes
    -----
    Source: Guo et al. 2017, arXiv:1706.04599.
    """
    signed = np.where(labels, margins, -margins)

    def loss(log_temperature: float) -> float:
        return float(-special.log_expit(signed / np.exp(log_temperature)).mean())

    minimum = optimize.minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(minimum.x))


def rescaled(scores: Values, ratio: float) -> Values:
    """Scores as they are when the temperature is `ratio` times what it was; order is kept."""
    probabilities: Values = special.expit(logits(scores) / ratio)
    return probabilities
