"""What `dicom-node evaluate` does with scores, and what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dicom_node.analysis.configuration import read_manifest
from dicom_node.errors import NodeError
from pipeline.cases.case_list import Case, Split, read_cases
from pipeline.evaluation.calibration.temperature import rescaled
from pipeline.evaluation.report import Occasion, write_report
from pipeline.evaluation.score_cases import CaseScores, score_cases
from pipeline.evaluation.summary import PREVALENCES, THRESHOLD, Evaluation, evaluate
from pipeline.metrics.scores import ScoredCases, read_origin, read_scores
from pipeline.metrics.statistics import with_interval
from pipeline.model.loading import Models, device_for, load
from pipeline.model.manifest import DEFAULT, Manifest

FEWEST = 2  #: cases of each class; DeLong's variance needs them

SCORES = "scores.csv"  #: in the folder of the report
ALL = "all"  #: in place of a split


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the caller may choose; None takes what holds otherwise.

    Attributes
    ----------
    threshold
        Scores above it are positive.
    prevalences
        For PPV and NPV.
    """

    threshold: float | None = None
    prevalences: Sequence[float] | None = None


def evaluate_scores(
    file: Path, model: Path | None, out: Path, wishes: Wishes, console: Console
) -> None:
    """Report on scores that are there: as they are, or as a model calibrates and calls them."""
    if model is None:
        source = f"Scores of {file.name}, as they are"
        report_on(read_scores(file), out, wishes, console, source=source)
        return
    manifest, _ = read_manifest(model)
    report_on(
        scores_of(file, manifest),
        out,
        called_by(manifest, wishes),
        console,
        source=f"Scores of {file.name}, calibrated as {manifest.name} {manifest.version}",
    )


def scores_of(file: Path, manifest: Manifest) -> ScoredCases:
    """Read scores of a model's weights, and bring them to its temperature."""
    cases, origin = read_scores(file), read_origin(file)
    if origin.weights != manifest.networks.digest:
        raise NodeError(
            f"{file}: expected scores that the weights of {manifest.name} {manifest.version} gave,"
            " got another's"
        )
    ratio = manifest.calibration.temperature / origin.temperature
    return cases if ratio == 1 else replace(cases, scores=rescaled(cases.scores, ratio))


def called_by(manifest: Manifest, wishes: Wishes) -> Wishes:
    """Wishes at the threshold of a model, if no other was asked for."""
    if wishes.threshold is not None:
        return wishes
    return replace(wishes, threshold=manifest.operating_points[DEFAULT].threshold)


def report_on(
    scores: ScoredCases,
    out: Path,
    wishes: Wishes,
    console: Console,
    *,
    source: str,
    unscored: tuple[tuple[str, str], ...] = (),
) -> None:
    """Judge scores; write and show the report."""
    cases = judgeable(scores)
    threshold = THRESHOLD if wishes.threshold is None else wishes.threshold
    told = evaluate(cases, threshold, wishes.prevalences or PREVALENCES)
    occasion = Occasion(source=source, day=datetime.now(UTC).date(), unscored=unscored)
    _tell(told, write_report(cases, told, occasion, out), console)


def judgeable(cases: ScoredCases) -> ScoredCases:
    """Give the cases back if there are enough of both classes."""
    if min(cases.positives, cases.negatives) < FEWEST:
        raise NodeError(
            f"expected at least {FEWEST} positive and {FEWEST} negative cases, "
            f"got {cases.positives} and {cases.negatives}"
        )
    return cases


def _tell(told: Evaluation, page: Path, console: Console) -> None:
    row = told.chosen
    table = Table("figure", "value (95 % interval)", title=f"{told.cases} cases", box=None)
    table.add_row("ROC AUC (DeLong)", with_interval(told.auc))
    table.add_row("average precision", with_interval(told.average_precision))
    table.add_row(f"sensitivity at {row.threshold:.3g}", with_interval(row.sensitivity))
    table.add_row(f"specificity at {row.threshold:.3g}", with_interval(row.specificity))
    table.add_row("PPV in this set", with_interval(row.ppv))
    table.add_row("NPV in this set", with_interval(row.npv))
    table.add_row("calibration error (ECE)", f"{told.reliability.expected_calibration_error:.3f}")
    console.print(table)
    console.print(f"report: {escape(str(page))}")


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
