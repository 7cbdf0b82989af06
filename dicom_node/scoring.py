"""What `dicom-node evaluate --cases` does: score a list of cases, then report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dicom_node.errors import NodeError
from dicom_node.evaluating import Wishes, report_on
from pipeline.classify import DEFAULT_POINT
from pipeline.evaluation.score_cases import CaseScores, score_cases
from pipeline.models import Models, device_for, load
from pipeline.training.cases import Case, read_cases

SCORES = "scores.csv"  #: in the folder of the report


def evaluate_cases(file: Path, model: Path, out: Path, wishes: Wishes, console: Console) -> None:
    """Score cases with a model, then report; those without a score are listed, never dropped."""
    cases = read_cases(file)
    models = load(model, device_for("auto"))
    done = _score(cases, models, out / SCORES, console)
    if wishes.threshold is None:
        point = models.manifest.operating_points[DEFAULT_POINT]
        wishes = replace(wishes, threshold=point.threshold)
    report_on(
        out / SCORES,
        out,
        wishes,
        console,
        source=f"Model {models.manifest.name} {models.manifest.version}, cases of {file.name}",
        unscored=_unscored(cases, done.failures),
    )


def _score(cases: Sequence[Case], models: Models, file: Path, console: Console) -> CaseScores:
    """Score with a progress bar; say which cases have no score, and why."""
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("scoring", total=len(cases))
        done = score_cases(cases, models, file, lambda count: bars.update(bar, completed=count))
    for path, reason in done.failures.items():
        console.print(f"no score: {escape(str(path))}: {escape(reason)}")
    console.print(f"{len(done.scores)} of {len(cases)} cases scored: {escape(str(file))}")
    if not done.scores:
        raise NodeError("expected at least one case with a score, got none")
    return done


def _unscored(cases: Sequence[Case], failures: Mapping[Path, str]) -> tuple[tuple[str, str], ...]:
    """Cases without a score by their row in the list, since a path may name a patient."""
    return tuple(
        (f"row {row}", failures[case.path.resolve()])
        for row, case in enumerate(cases, start=1)
        if case.path.resolve() in failures
    )
