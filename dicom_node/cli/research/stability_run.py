"""Drive `dicom-node stability`: score changed cases, write and show how far scores move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from dicom_node.cli.options import bar
from dicom_node.errors import NodeError, UsageError
from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import Case
from pipeline.decision import bounds
from pipeline.errors import PipelineError
from pipeline.evaluation.stability import (
    ChangedScore,
    changed_scores,
    changes,
    names_of,
    spreads,
)
from pipeline.evaluation.stability_report import plot, table, write_scores
from pipeline.model.loading import Models
from pipeline.model.manifest import Manifest

SCORES, TABLE, PLOT = "stability.csv", "stability.md", "stability.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Scores of changed cases, and the places in the list of those that have none."""

    scores: Sequence[ChangedScore]
    failed: Sequence[str]


def require_known(names: Sequence[str]) -> None:
    """Refuse changes that there are not.

    Raises
    ------
    UsageError
        If there are some.
    """
    known = [one.name for one in changes(0.0)]
    if unknown := sorted(set(names) - set(known)):
        raise UsageError(f"changes of {', '.join(known)} expected, got {', '.join(unknown)}")


def measure(
    cases: Sequence[Case], models: Models, only: Sequence[str], folder: Path, console: Console
) -> Measured:
    """Score each case as it came and after each change; write the scores after each case.

    A case that cannot be scored after every change is told with the reason, and has no scores.

    Parameters
    ----------
    only
        Names of the changes that are made; empty makes all.

    Raises
    ------
    NodeError
        If no case can be scored.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scores: list[ChangedScore] = []
    failed: list[str] = []
    with bar(console) as progress:
        task = progress.add_task("cases", total=len(cases))
        for case, name in zip(cases, names_of(cases), strict=True):
            try:
                scores += list(changed_scores(case, name, models, only))
            except PipelineError as fault:
                failed.append(case.place)
                console.print(f"no scores: {escape(f'{case.place}: {fault}')}")
            else:
                write_scores(folder / SCORES, scores)
            progress.advance(task)
    if not scores:
        raise NodeError("expected at least one case that can be scored, got none")
    return Measured(scores=scores, failed=failed)


def show(
    scores: Sequence[ChangedScore], manifest: Manifest, folder: Path, console: Console
) -> None:
    """Write table and plot, and print the spread of each case."""
    write_whole(folder / TABLE, table(scores).encode())
    write_whole(folder / PLOT, plot(scores, bounds(None, manifest).edges))
    for one in spreads(scores):
        words = f"{one.case}: {one.as_it_came:.3f}, standard deviation {one.deviation:.3f}"
        console.print(f"{words}, {one.low:.3f} to {one.high:.3f}: {', '.join(one.answers)}")
    console.print(f"table, scores and plot: {folder}", markup=False)


def hold(measured: Measured, at_most: float) -> None:
    """Refuse scores that deviate more, answers from below to above, and cases without scores.

    Raises
    ------
    NodeError
        If there are some.
    """
    found = spreads(measured.scores)
    loose = [one.case for one in found if one.deviation > at_most]
    torn = [one.case for one in found if one.changes_side]
    if loose or torn or measured.failed:
        raise NodeError(
            f"expected a standard deviation of at most {at_most:g} and no answers from below to"
            f" above; more deviate: {', '.join(loose) or 'none'};"
            f" change sides: {', '.join(torn) or 'none'};"
            f" without scores: {', '.join(measured.failed) or 'none'}"
        )
