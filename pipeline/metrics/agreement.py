"""Agreement of two readers on two answers, beyond chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from pipeline.metrics.statistics import CONFIDENCE, NO_SPREAD, Estimate, Proportion, proportion

NO_WIDTH = 1e-12  #: variance below which rounding is all that is left


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementTable:
    """Numbers of cases by what both say of them: the first reader's word stands first."""

    both_positive: int = 0
    positive_negative: int = 0
    negative_positive: int = 0
    both_negative: int = 0

    @property
    def cases(self) -> int:
        """All of them."""
        return (
            self.both_positive
            + self.positive_negative
            + self.negative_positive
            + self.both_negative
        )


def observed_agreement(table: AgreementTable) -> Proportion | None:
    """Share of cases on which both agree, with Wilson's interval; None without cases."""
    if not table.cases:
        return None
    return proportion(table.both_positive + table.both_negative, table.cases)


def kappa(table: AgreementTable) -> Estimate | None:
    """Cohen's kappa (1960, doi:10.1177/001316446002000104) with its large-sample interval.

    The interval is that of Fleiss, Cohen and Everitt (1969, doi:10.1037/h0028106); of few cases it
    is too narrow, and where it would have no width there is none. None without cases, or where one
    answer alone was given by both.
    """
    cases = table.cases
    if not cases:
        return None
    shares = [
        [table.both_positive / cases, table.positive_negative / cases],
        [table.negative_positive / cases, table.both_negative / cases],
    ]
    first = [sum(row) for row in shares]
    second = [shares[0][column] + shares[1][column] for column in (0, 1)]
    agreed = shares[0][0] + shares[1][1]
    by_chance = first[0] * second[0] + first[1] * second[1]
    if by_chance >= 1:
        return None
    value = (agreed - by_chance) / (1 - by_chance)
    diagonal = sum(
        shares[one][one] * (1 - (first[one] + second[one]) * (1 - value)) ** 2 for one in (0, 1)
    )
    others = (1 - value) ** 2 * sum(
        shares[one][other] * (second[one] + first[other]) ** 2 for one, other in ((0, 1), (1, 0))
    )
    chance = (value - by_chance * (1 - value)) ** 2
    variance = max(0.0, diagonal + others - chance) / (cases * (1 - by_chance) ** 2)
    if variance < NO_WIDTH:
        return Estimate(value=value, low=-1.0, high=1.0, why_unknown=NO_SPREAD)
    reach = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    return Estimate(value=value, low=max(-1.0, value - reach), high=min(1.0, value + reach))
