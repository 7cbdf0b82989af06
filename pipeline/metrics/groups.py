"""Figures of a classifier by group of cases, such as those of one scanner."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.metrics.delong import auc
from pipeline.metrics.scores import ScoredCases
from pipeline.metrics.statistics import Estimate, Proportion, proportion, with_interval

FEW = 10
"""Cases of a class: with fewer, even where all are called right, Wilson's 95 % interval goes below
0.71 (9 of 9: 0.70), so nothing that matters can be told."""
FEWEST_FOR_AREA = 2  #: cases of each class; DeLong's variance needs them
NOT_NAMED = "not named"  #: group of cases whose group nobody says
NONE = "\u2013"
HEAD = ("group", "cases", "patients", "positive", "negative", "threshold")
FIGURES = ("auc", "sensitivity", "specificity")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFigures:
    """Figures of one group.

    Attributes
    ----------
    threshold
        Scores above it count as called positive.
    auc
        DeLong's; None without `FEWEST_FOR_AREA` cases of each class.
    sensitivity, specificity
        Wilson's; None without a case of the class.
    """

    group: str
    cases: int
    patients: int
    positives: int
    negatives: int
    threshold: float
    auc: Estimate | None
    sensitivity: Proportion | None
    specificity: Proportion | None

    @property
    def remark(self) -> str:
        """Say that there are too few cases to tell anything by; empty where there are enough."""
        counts = (("positive", self.positives), ("negative", self.negatives))
        few = [f"{count} {name}" for name, count in counts if count < FEW]
        return f"too few to tell: {', '.join(few)}; {FEW} expected" if few else ""


def group_figures(group: str, cases: ScoredCases, threshold: float) -> GroupFigures:
    """Judge the cases of one group."""
    called = cases.scores > threshold

    def share(label: bool) -> Proportion | None:
        of_class = called[cases.labels == label]
        right = int(np.count_nonzero(of_class == label))
        return proportion(right, len(of_class)) if len(of_class) else None

    enough = min(cases.positives, cases.negatives) >= FEWEST_FOR_AREA
    return GroupFigures(
        group=group or NOT_NAMED,
        cases=len(cases.labels),
        patients=cases.patient_count,
        positives=cases.positives,
        negatives=cases.negatives,
        threshold=threshold,
        auc=auc(cases.labels, cases.scores) if enough else None,
        sensitivity=share(True),
        specificity=share(False),
    )


def by_group(
    cases: ScoredCases, groups: Sequence[str], threshold: float
) -> tuple[GroupFigures, ...]:
    """Judge each group, in the order of their names; those of no group come last.

    Parameters
    ----------
    groups
        Of each case; empty of one whose group nobody says.
    """
    of_case = np.array(groups)
    names = sorted(set(groups), key=lambda name: (not name, name))
    return tuple(
        group_figures(name, cases.of(np.flatnonzero(of_case == name)), threshold) for name in names
    )


def in_words(row: GroupFigures) -> str:
    """Write one group on a line: counts, figures with intervals, remark."""
    figures = {"AUC": row.auc, "sensitivity": row.sensitivity, "specificity": row.specificity}
    known = [f"{name} {with_interval(one)}" for name, one in figures.items() if one is not None]
    counts = f"{row.cases} cases of {row.patients} patients"
    classes = f"{row.positives} positive, {row.negatives} negative"
    words = f"{row.group}: {counts} ({classes}); {', '.join(known)} at {row.threshold:.3g}"
    return f"{words}; {row.remark}" if row.remark else words


def as_markdown(rows: Sequence[GroupFigures]) -> str:
    """Lay out figures with their intervals as a table in Markdown."""
    head = (*HEAD[:-1], "AUC (95 % CI)", "sensitivity", "specificity", "at", "")
    lines = [head, ("---",) * len(head), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cells(row: GroupFigures) -> tuple[str, ...]:
    counts = (row.cases, row.patients, row.positives, row.negatives)
    figures = (row.auc, row.sensitivity, row.specificity)
    return (
        row.group.replace("|", "\\|"),
        *map(str, counts),
        *(NONE if figure is None else with_interval(figure) for figure in figures),
        f"{row.threshold:.3g}",
        row.remark,
    )


def as_csv(rows: Sequence[GroupFigures]) -> str:
    """Write figures and the bounds of their 95 % intervals as CSV; empty where there is none."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    bounds = (f"{name}{end}" for name in FIGURES for end in ("", "_low", "_high"))
    writer.writerow((*HEAD, *bounds, "remark"))
    for row in rows:
        counts = (row.cases, row.patients, row.positives, row.negatives, row.threshold)
        figures = (row.auc, row.sensitivity, row.specificity)
        numbers = (number for figure in figures for number in _numbers(figure))
        writer.writerow((row.group, *counts, *numbers, row.remark))
    return stream.getvalue()


def _numbers(figure: Estimate | None) -> Iterator[float | str]:
    """Yield a figure and its bounds; without an interval the bounds stay empty."""
    if figure is None:
        yield from ("", "", "")
        return
    yield figure.value
    yield from ("", "") if figure.why_unknown else (figure.low, figure.high)
