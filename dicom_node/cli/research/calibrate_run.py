"""Drive `dicom-node calibrate`: fit a model to scores and to cases, show and write the fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dicom_node.cli.options import bar
from dicom_node.cli.research.evaluate_run import scores_of, with_both_classes
from dicom_node.errors import NodeError
from dicom_node.maintenance.model_card import group_lines, share_in_words
from pipeline.cases.case_list import Case, Split, read_cases
from pipeline.cases.scanners import named_scanners
from pipeline.evaluation.calibration.fit_reference import FOLDS
from pipeline.evaluation.calibration.temperature import Calibrated, calibrate_scores, rescaled
from pipeline.evaluation.calibration.trust import Answers, Trust, answers, calibrate_trust
from pipeline.evaluation.calibration.write import write_calibration, write_trust
from pipeline.metrics.scores import ScoredCases
from pipeline.metrics.statistics import with_interval
from pipeline.model.loading import Models, device_for, load
from pipeline.model.manifest import read_manifest

USED = (Split.VALIDATION, Split.TEST)  #: to choose, to measure
NO_TEST_CASES = "no test cases"  #: in place of a measured share


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """Temperature and operating points, and the scores that they were fitted to."""

    cases: ScoredCases
    calibrated: Calibrated


def read_split_cases(file: Path) -> dict[Split, list[Case]]:
    """Read the cases of a list that choose and that measure.

    Raises
    ------
    NodeError
        If those that choose lack a label, or are of too few patients.
    """
    listed = read_cases(file)
    cases = {split: [case for case in listed if case.split == split] for split in USED}
    chosen = cases[Split.VALIDATION]
    if not chosen:
        raise NodeError(
            f"{file}: expected rows with split 'validation', got none; the run folder of a"
            " training has its list with the split drawn"
        )
    patients = len({case.patient for case in chosen})
    if {case.label for case in chosen} != {0, 1} or patients < FOLDS:
        raise NodeError(
            f"{file}: validation cases: both labels and at least {FOLDS} patients expected,"
            f" got labels {sorted({str(case.label) for case in chosen})} of {patients}"
        )
    return cases


def fit(model: Path, scores: Path) -> Fitted:
    """Fit temperature and operating points to scores of this model's weights.

    At whatever temperature the scores were written, the same ones give the same calibration.
    """
    manifest, _ = read_manifest(model)
    cases = with_both_classes(scores_of(scores, manifest))
    temperature = manifest.calibration.temperature
    return Fitted(cases=cases, calibrated=calibrate_scores(cases.labels, cases.scores, temperature))


def answers_of(
    model: Path, cases: Mapping[Split, list[Case]], console: Console, *, by_scanner: bool
) -> dict[Split, Answers]:
    """Score the cases of each split with the model, and take their features.

    Parameters
    ----------
    by_scanner
        Whether the scanner of each case is named.
    """
    scanners = iter(named_scanners([*chain(*cases.values())]) if by_scanner else ())
    of_split = {split: tuple(islice(scanners, len(part))) for split, part in cases.items()}
    models = load(model, device_for("auto"))
    with bar(console) as progress:
        return {
            split: replace(_of_split(split, part, models, progress), scanners=of_split[split])
            for split, part in cases.items()
        }


def _of_split(split: Split, cases: list[Case], models: Models, progress: Progress) -> Answers:
    task = progress.add_task(f"{split} cases", total=len(cases))
    return answers(cases, models, lambda done: progress.update(task, completed=done))


def calibrate_model(
    model: Path,
    fitted: Fitted | None,
    answers: Mapping[Split, Answers] | None,
    point: str,
    console: Console,
) -> None:
    """Write what was fitted to scores, to answers, or to both; all is fitted before any is written.

    Parameters
    ----------
    answers
        At the temperature that the model has now.
    point
        Name of the operating point that becomes the default.
    """
    trust = None
    if answers is not None:
        trust = _trust(answers, fitted.calibrated if fitted else None)
    if fitted is not None:
        write_calibration(model, fitted.calibrated, fitted.cases, point=point)
        _print_calibration(fitted.calibrated, point, console)
    if trust is not None:
        write_trust(model, trust)
        _print_trust(trust, console)


def _trust(answers: Mapping[Split, Answers], calibrated: Calibrated | None) -> Trust:
    """Fit prediction sets and reference to the answers, at the new temperature if there is one."""
    ratio = calibrated.temperature / calibrated.old_temperature if calibrated else 1.0
    validation, test = (
        replace(answers[split], scores=rescaled(answers[split].scores, ratio)) for split in USED
    )
    try:
        return calibrate_trust(validation, test)
    except ValueError as fault:
        raise NodeError(f"validation cases: {fault}") from fault


def _print_calibration(calibrated: Calibrated, point: str, console: Console) -> None:
    console.print(
        f"temperature {calibrated.old_temperature:.4g} -> {calibrated.temperature:.4g}, "
        f"Brier score {calibrated.before.brier:.4f} -> {calibrated.after.brier:.4f} (same cases)"
    )
    if calibrated.at_bound:
        console.print(
            "[bold yellow]The temperature is at its bound:[/] a threshold (almost) parts the"
            " classes of these cases, or the score says nothing about them. Do not read the score"
            " as a probability; calibrate on more cases."
        )
    table = Table("point", "threshold", "sensitivity", "specificity", box=None)
    for chosen in calibrated.points:
        shares = (with_interval(chosen.sensitivity), with_interval(chosen.specificity))
        table.add_row(chosen.name, f"{chosen.threshold:.4f}", *shares)
    console.print(table)
    console.print(f"default: {point}")


def _print_trust(trust: Trust, console: Console) -> None:
    table = Table("set", "negative up to", "positive from", "kept, negative", "kept, positive")
    for level in trust.conformal.levels:
        table.add_row(
            f"{level.coverage:.0%}",
            f"{level.negative_at_most:.4f}",
            f"{level.positive_at_least:.4f}",
            share_in_words(level.measured_negative, NO_TEST_CASES),
            share_in_words(level.measured_positive, NO_TEST_CASES),
        )
    console.print(table)
    for line in group_lines(trust.groups, trust.conformal):
        console.print(f"scanners {line}", highlight=False, markup=False)
    console.print(
        f"reference of {trust.cases} cases, limit {trust.fitted.limit:.1f}; "
        f"test cases beyond it: {share_in_words(trust.flagged, NO_TEST_CASES)}"
    )
