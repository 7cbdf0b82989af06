"""Compute the decision curve: net benefit of acting on the score.

A. Vickers and E. Elkin, Medical Decision Making 26 (2006), doi:10.1177/0272989X06295361.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.metrics.statistics import Labels, Values

PROBABILITIES = tuple(percent / 100 for percent in range(1, 100))


@dataclass(frozen=True, slots=True, kw_only=True)
class NetBenefit:
    """Net benefit per case, in true positives; treating nobody has 0.

    Attributes
    ----------
    probability
        At which one would act; it says how many false alarms one finding is worth.
    by_score, treat_all
        Acting on scores above the probability, and on every case.
    """

    probability: float
    by_score: float
    treat_all: float


def decision_curve(labels: Labels, scores: Values) -> tuple[NetBenefit, ...]:
    """Net benefit at each of `PROBABILITIES`."""
    at = np.array(PROBABILITIES)
    called = scores > at[:, None]
    by_score = net_benefit((called & labels).mean(1), (called & ~labels).mean(1), at)
    treat_all = net_benefit(
        np.full(len(at), labels.mean()), np.full(len(at), 1 - labels.mean()), at
    )
    return tuple(
        NetBenefit(probability=float(p), by_score=float(s), treat_all=float(a))
        for p, s, a in zip(at, by_score, treat_all, strict=True)
    )


def net_benefit(true: Values, false: Values, probability: Values) -> Values:
    """Shares of true and of false positives, weighed by the odds of the probability."""
    return true - false * probability / (1 - probability)
