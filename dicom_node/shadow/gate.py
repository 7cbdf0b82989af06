"""Decide purely whether a second model may take the place of the one in use, by a stated rule.

Shares and areas are judged by the unfavourable end of a 95 % interval: with few cases none passes.
Nothing corrects for repeated looks: who looks until it passes may pass by chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dicom_node.shadow.comparison import Comparison
from pipeline.metrics.statistics import Proportion


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """What a second model has to show.

    Attributes
    ----------
    least_patients
        With both models.
    least_labelled
        Of each class.
    auc_margin
        By which its area under the ROC curve may be smaller.
    most_changed, most_failed
        Shares, 0 to 1.
    """

    least_patients: int
    least_labelled: int
    auc_margin: float
    most_changed: float
    most_failed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition.

    Attributes
    ----------
    what
        What is asked for.
    found
        What there is.
    """

    what: str
    is_met: bool
    found: str


def conditions(found: Comparison, rule: GateRule) -> tuple[Condition, ...]:
    """Say of each condition whether it is met."""
    return tuple(_conditions(found, rule))


def _conditions(found: Comparison, rule: GateRule) -> Iterator[Condition]:
    yield Condition(
        what=f"at least {rule.least_patients} patients",
        is_met=found.patients >= rule.least_patients,
        found=str(found.patients),
    )
    yield _share_below("series without a second result", found.failed, rule.most_failed)
    yield _share_below("patients with another answer", found.changed, rule.most_changed)
    yield Condition(
        what=f"the truth of at least {rule.least_labelled} patients with the disease and"
        f" {rule.least_labelled} without",
        is_met=min(found.positives, found.negatives) >= rule.least_labelled,
        found=f"{found.positives} and {found.negatives}",
    )
    yield _area(found, rule.auc_margin)


def _share_below(what: str, share: Proportion | None, most: float) -> Condition:
    return Condition(
        what=f"{what}: at most {100 * most:g} %, by the upper end of the interval",
        is_met=share is not None and share.high <= most,
        found="none yet"
        if share is None
        else f"{share.count} of {share.total}, up to {100 * share.high:.1f} %",
    )


def _area(found: Comparison, margin: float) -> Condition:
    """Ask that the area is not smaller by more than a margin: non-inferiority."""
    what = f"area under the ROC curve smaller by {margin:g} at most, by the end of the interval"
    if found.area is None:
        return Condition(what=what, is_met=False, found="not known yet")
    smaller_by = found.area.difference
    return Condition(
        what=what,
        is_met=smaller_by.high <= margin,
        found=f"{found.area.auc_a:.3f} and {found.area.auc_b:.3f}, smaller by up to"
        f" {smaller_by.high:.3f}",
    )
