"""What `dicom-node evaluate --cases` does: score a list of cases, then report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dicom_node.cli.research.evaluation import Wishes, called_by, report_on
from dicom_node.errors import NodeError
from pipeline.cases.case_list import Case, Split, read_cases
from pipeline.evaluation.score_cases import CaseScores, score_cases
from pipeline.metrics.scores import read_scores
from pipeline.model.loading import Models, device_for, load

SCORES = "scores.csv"  #: in the folder of the report
ALL = "all"  #: in place of a split


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Cases of a list to score.

    Attributes
    ----------
    split
        A split of the list, `ALL`, or None: test cases if the list names splits, else all.
    """

    file: Path
    split: str | None = None


def evaluate_cases(asked: Asked, model: Path, out: Path, wishes: Wishes, console: Console) -> None:
    """Score cases with a model, then report; those without a score are listed, never dropped."""
    cases, words = chosen(asked)
    console.print(words, highlight=False)
    models = load(model, device_for("auto"))
    done = _score(cases, models, out / SCORES, console)
    manifest = models.manifest
    report_on(
        read_scores(out / SCORES),
        out,
        called_by(manifest, wishes),
        console,
        source=f"Model {manifest.name} {manifest.version}, {words}",
        unscored=_unscored(cases, done.failures),
    )


def chosen(asked: Asked) -> tuple[Sequence[Case], str]:
    """Cases of the split that is asked for, and which they are in words."""
    cases, name = read_cases(asked.file), asked.file.name
    named = any(case.split is not None for case in cases)
    split = asked.split or (Split.TEST if named else ALL)
    if split == ALL:
        what = "all, whatever their split" if named else "the list names no split"
        return cases, f"{len(cases)} cases of {name} ({what})"
    found = [case for case in cases if case.split == split]
    if not found:
        raise NodeError(f"{asked.file}: expected cases of split '{split}', got none")
    return found, f"{len(found)} {split} cases of the {len(cases)} cases of {name}"


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
    """Cases without a score by their line in the list, since a path may name a patient."""
    return tuple(
        (case.place, failures[case.path.resolve()])
        for case in cases
        if case.path.resolve() in failures
    )
