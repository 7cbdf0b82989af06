"""Compare two methods on the same cases: limits of agreement, and discordant answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from pipeline.metrics.statistics import CONFIDENCE, NO_SPREAD, Estimate, Values

NORMAL_QUANTILE = float(stats.norm.ppf((1 + CONFIDENCE) / 2))  #: of the limits of agreement, 1.96
FEWEST = 3  #: differences without which there is no limit with an interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Differences of two methods on the same cases (Bland and Altman).

    Attributes
    ----------
    bias
        Mean of the differences, with its interval.
    lower, upper
        Limits of agreement, between which 95 % of differences are expected, with their intervals.
    """

    cases: int
    bias: Estimate
    lower: Estimate
    upper: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Discordance:
    """Cases that only one of two methods calls (McNemar).

    Attributes
    ----------
    only_first, only_second
        Numbers of cases.
    p_value
        Two-sided and exact, of the hypothesis that both are as frequent.
    """

    only_first: int
    only_second: int
    p_value: float


def agreement(first: Values, second: Values) -> Agreement:
    """Describe the differences, second less first.

    Parameters
    ----------
    first, second
        ``(N,)``, of the same cases in the same order, in one unit.

    Raises
    ------
    ValueError
        If there are fewer than `FEWEST`, or the lengths differ.

    Notes
    -----
    Source: Bland and Altman 1999, doi:10.1177/096228029900800204: differences are taken for
    normal, cases for independent; the standard error of a limit is
    ``s * sqrt(1 / n + z**2 / (2 * (n - 1)))``.
    """
    if first.shape != second.shape or len(first) < FEWEST:
        raise ValueError(
            f"expected at least {FEWEST} pairs, got {len(first)} and {len(second)} values"
        )
    differences = second - first
    count, mean = len(differences), float(differences.mean())
    deviation = float(differences.std(ddof=1))
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
    half = quantile * deviation / np.sqrt(count)
    half_of_limit = (
        quantile * deviation * np.sqrt(1 / count + NORMAL_QUANTILE**2 / (2 * (count - 1)))
    )
    reach = NORMAL_QUANTILE * deviation
    return Agreement(
        cases=count,
        bias=_around(mean, half),
        lower=_around(mean - reach, half_of_limit),
        upper=_around(mean + reach, half_of_limit),
    )


def _around(value: float, half: float) -> Estimate:
    why = "" if half > 0 else NO_SPREAD
    return Estimate(value=value, low=value - float(half), high=value + float(half), why_unknown=why)


def discordance(only_first: int, only_second: int) -> Discordance:
    """Test whether two methods call as many cases, by those that only one of them calls.

    Notes
    -----
    Source: McNemar 1947, doi:10.1007/BF02295996; exact, by the binomial distribution.
    """
    total = only_first + only_second
    p_value = float(stats.binomtest(min(only_first, only_second), total).pvalue) if total else 1.0
    return Discordance(only_first=only_first, only_second=only_second, p_value=p_value)
