"""Drive `dicom-node evaluate`: score cases, evaluate scores, show and write the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dicom_node.cli.options import bar
from dicom_node.cli.research.selection import Selection, select
from dicom_node.errors import NodeError
from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import Case
from pipeline.cases.scanners import group_of
from pipeline.decision import SITE_POINT, Bounds, bounds
from pipeline.evaluation.calibration.temperature import rescaled
from pipeline.evaluation.report import Occasion, write_report
from pipeline.evaluation.score_cases import CaseScores, score_cases
from pipeline.evaluation.strata import painted_cases, tables, write_painted
from pipeline.evaluation.summary import PREVALENCES, THRESHOLD, Evaluation, evaluate
from pipeline.metrics.groups import GroupFigures, by_group, in_words
from pipeline.metrics.scores import SCANNER, ScoredCases, read_column, read_origin, read_scores
from pipeline.metrics.statistics import proportion, with_interval
from pipeline.model.loading import Models, device_for, load
from pipeline.model.manifest import Manifest, read_manifest

FEWEST = 2  #: cases of each class; DeLong's variance needs them
SCORES = "scores.csv"  #: in the folder of the report
PAINTED = "painted-cases.csv"  #: the same of prepared cases, with what was painted
STRATA = "strata.md"  #: tables by size and by what was painted


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """Thresholds to evaluate at.

    Attributes
    ----------
    threshold
        Scores above it are positive; None takes the model's bounds, or `THRESHOLD` without a model.
    prevalences
        For PPV and NPV; None takes `PREVALENCES`.
    """

    threshold: float | None = None
    prevalences: Sequence[float] | None = None

    def bounds(self, manifest: Manifest | None) -> Bounds:
        """Give the bounds: the threshold that is named, or else what a model answers by."""
        if manifest is not None:
            return bounds(self.threshold, manifest)
        threshold = THRESHOLD if self.threshold is None else self.threshold
        return Bounds(threshold=threshold, operating_point=SITE_POINT)


def evaluate_scores(
    file: Path, model: Path | None, out: Path, options: EvaluationOptions, console: Console
) -> None:
    """Report on scores that are there: as they are, or as a model calibrates and calls them."""
    if model is None:
        source = f"Scores of {file.name}, as they are"
        report_on(
            read_scores(file),
            out,
            options.bounds(None),
            console,
            source=source,
            scanners=_scanners_of(file),
            prevalences=options.prevalences,
        )
        return
    manifest, _ = read_manifest(model)
    report_on(
        scores_of(file, manifest),
        out,
        options.bounds(manifest),
        console,
        source=f"Scores of {file.name}, calibrated as {manifest.name} {manifest.version}",
        scanners=_scanners_of(file),
        prevalences=options.prevalences,
    )


def evaluate_cases(
    selection: Selection, model: Path, out: Path, options: EvaluationOptions, console: Console
) -> None:
    """Score cases with a model, then report; those without a score are listed, never dropped."""
    cases, words = select(selection)
    console.print(words, highlight=False)
    models = load(model, device_for("auto"))
    done = _score(cases, models, out / SCORES, console)
    manifest = models.manifest
    if painted := painted_cases(cases, done.scores):
        write_painted(out / PAINTED, painted)
        write_whole(out / STRATA, tables(painted, manifest).encode())
    report_on(
        read_scores(out / SCORES),
        out,
        options.bounds(manifest),
        console,
        source=f"Model {manifest.name} {manifest.version}, {words}",
        scanners=[group_of(case) for case in cases if case.path.resolve() in done.scores],
        prevalences=options.prevalences,
        unscored=_unscored(cases, done.failures),
    )


def scores_of(file: Path, manifest: Manifest) -> ScoredCases:
    """Read scores of a model's weights, and bring them to its temperature.

    Raises
    ------
    NodeError
        If other weights gave them.
    """
    cases, origin = read_scores(file), read_origin(file)
    if origin.weights != manifest.networks.digest:
        raise NodeError(
            f"{file}: expected scores that the weights of {manifest.name} {manifest.version} gave,"
            " got another's"
        )
    ratio = manifest.calibration.temperature / origin.temperature
    return cases if ratio == 1 else replace(cases, scores=rescaled(cases.scores, ratio))


def with_both_classes(cases: ScoredCases) -> ScoredCases:
    """Give the cases back if there are enough of both classes.

    Raises
    ------
    NodeError
        If there are not.
    """
    if min(cases.positives, cases.negatives) < FEWEST:
        raise NodeError(
            f"expected at least {FEWEST} positive and {FEWEST} negative cases, "
            f"got {cases.positives} and {cases.negatives}"
        )
    return cases


def report_on(
    scores: ScoredCases,
    out: Path,
    called: Bounds,
    console: Console,
    *,
    source: str,
    scanners: Sequence[str],
    prevalences: Sequence[float] | None = None,
    unscored: tuple[tuple[str, str], ...] = (),
) -> None:
    """Evaluate scores; write and show the report.

    Parameters
    ----------
    scanners
        Group of scanners of each case, empty where nobody says it.
    """
    cases = with_both_classes(scores)
    evaluation = evaluate(cases, called.threshold, prevalences or PREVALENCES)
    groups = by_group(cases, scanners, called.threshold) if any(scanners) else ()
    day = datetime.now(UTC).date()
    occasion = Occasion(source=source, day=day, unscored=unscored, by_scanner=groups)
    page = write_report(cases, evaluation, occasion, out)
    _print_evaluation(evaluation, tuple(_answers(cases, called)), page, console)
    print_groups(groups, console)


def _scanners_of(file: Path) -> list[str]:
    """Read the group of scanners of each of a file's cases, where it has that column."""
    return [name.strip() for name in read_column(file, SCANNER)]


def print_groups(groups: Sequence[GroupFigures], console: Console) -> None:
    """Print the figures of groups of scanners, each on a line."""
    for group in groups:
        console.print(f"scanners {in_words(group)}", highlight=False, markup=False)


def _answers(cases: ScoredCases, called: Bounds) -> Iterator[tuple[str, str]]:
    """Yield the share of each class that gets each of three answers; nothing where two are."""
    low, high = called.indeterminate_from, called.threshold
    if low is None:
        return
    for name, label in (("positive", True), ("negative", False)):
        scores = cases.scores[cases.labels == label]
        within = {
            f"above {high:.3g}": scores > high,
            f"indeterminate from {low:.3g}": (scores >= low) & (scores <= high),
            f"below {low:.3g}": scores < low,
        }
        for words, marked in within.items():
            share = proportion(int(np.count_nonzero(marked)), len(scores))
            yield f"{name} cases {words}", with_interval(share)


def _print_evaluation(
    evaluation: Evaluation, answers: Sequence[tuple[str, str]], page: Path, console: Console
) -> None:
    row = evaluation.chosen
    ece = evaluation.reliability.expected_calibration_error
    table = Table("figure", "value (95 % interval)", title=f"{evaluation.cases} cases", box=None)
    table.add_row("ROC AUC (DeLong)", with_interval(evaluation.auc))
    table.add_row("average precision", with_interval(evaluation.average_precision))
    table.add_row(f"sensitivity at {row.threshold:.3g}", with_interval(row.sensitivity))
    table.add_row(f"specificity at {row.threshold:.3g}", with_interval(row.specificity))
    table.add_row("PPV in this set", with_interval(row.ppv))
    table.add_row("NPV in this set", with_interval(row.npv))
    table.add_row("calibration error (ECE)", f"{ece:.3f}")
    for name, share in answers:
        table.add_row(name, share)
    console.print(table)
    console.print(f"report: {escape(str(page))}")


def _score(cases: Sequence[Case], models: Models, file: Path, console: Console) -> CaseScores:
    """Score with a progress bar; say which cases have no score, and why."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with bar(console) as progress:
        task = progress.add_task("scoring", total=len(cases))
        done = score_cases(cases, models, file, lambda n: progress.update(task, completed=n))
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
