"""What `dicom-node calibrate` does and shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dicom_node.analysis.configuration import read_manifest
from dicom_node.cli.research.evaluation import judgeable, scores_of
from dicom_node.errors import NodeError
from pipeline.cases.case_list import Case, Split, read_cases
from pipeline.evaluation.calibration.fit_reference import FOLDS
from pipeline.evaluation.calibration.temperature import Calibrated, calibrate_scores, rescaled
from pipeline.evaluation.calibration.trust import Answers, Trust, answers, calibrate_trust
from pipeline.evaluation.calibration.write import write_calibration, write_trust
from pipeline.metrics.scores import ScoredCases
from pipeline.metrics.statistics import with_interval
from pipeline.model.loading import Models, device_for, load
from pipeline.model.manifest import MeasuredShare

USED = (Split.VALIDATION, Split.TEST)  #: to choose, to measure
COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeRemainingColumn(),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """What scores say of a model, and the scores."""

    cases: ScoredCases
    found: Calibrated


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
    """
    trust = None
    if answers is not None:
        ratio = fitted.found.temperature / fitted.found.old_temperature if fitted else 1.0
        renewed = {
            split: replace(each, scores=rescaled(each.scores, ratio))
            for split, each in answers.items()
        }
        trust = trusted(renewed)
    if fitted is not None:
        write_calibration(model, fitted.found, fitted.cases, point=point)
        _tell(fitted.found, point, console)
    if trust is not None:
        write_trust(model, trust)
        show(trust, console)


def fit(model: Path, scores: Path) -> Fitted:
    """Fit temperature and operating points to scores of this model's weights.

    At whatever temperature the scores were written, the same ones give the same calibration.
    """
    manifest, _ = read_manifest(model)
    cases = judgeable(scores_of(scores, manifest))
    found = calibrate_scores(cases.labels, cases.scores, manifest.calibration.temperature)
    return Fitted(cases=cases, found=found)


def _tell(calibrated: Calibrated, point: str, console: Console) -> None:
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
    for each in calibrated.points:
        shares = (with_interval(each.sensitivity), with_interval(each.specificity))
        table.add_row(each.name, f"{each.threshold:.4f}", *shares)
    console.print(table)
    console.print(f"default: {point}")


def cases_of(file: Path) -> dict[Split, list[Case]]:
    """Cases of a list that choose and that measure; what cannot do is refused at once."""
    read = read_cases(file)
    cases = {split: [case for case in read if case.split == split] for split in USED}
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


def trusted(found: Mapping[Split, Answers]) -> Trust:
    """Fit prediction sets and reference to the answers to cases of `USED`."""
    try:
        return calibrate_trust(found[Split.VALIDATION], found[Split.TEST])
    except ValueError as fault:
        raise NodeError(f"validation cases: {fault}") from fault


def answers_of(
    model: Path, cases: Mapping[Split, list[Case]], console: Console
) -> dict[Split, Answers]:
    """Show the cases to the model."""
    models = load(model, device_for("auto"))
    with Progress(*COLUMNS, console=console) as bars:
        return {split: _of_split(split, chosen, models, bars) for split, chosen in cases.items()}


def _of_split(split: Split, cases: list[Case], models: Models, bars: Progress) -> Answers:
    bar = bars.add_task(f"{split} cases", total=len(cases))
    return answers(cases, models, lambda done: bars.update(bar, completed=done))


def show(trust: Trust, console: Console) -> None:
    """Show what was found out."""
    table = Table("set", "negative up to", "positive from", "kept, negative", "kept, positive")
    for level in trust.conformal.levels:
        table.add_row(
            f"{level.coverage:.0%}",
            f"{level.negative_at_most:.4f}",
            f"{level.positive_at_least:.4f}",
            _share(level.measured_negative),
            _share(level.measured_positive),
        )
    console.print(table)
    console.print(
        f"reference of {trust.cases} cases, limit {trust.fitted.limit:.1f}; "
        f"test cases beyond it: {_share(trust.flagged)}"
    )


def _share(share: MeasuredShare | None) -> str:
    if share is None:
        return "no test cases"
    value = share.count / share.cases
    return f"{value:.3f} ({share.low:.3f} to {share.high:.3f}; {share.count}/{share.cases})"
