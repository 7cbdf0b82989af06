"""What `dicom-node calibrate --cases` does and shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dicom_node.errors import NodeError
from pipeline.cases.case_list import Case, Split, read_cases
from pipeline.evaluation.calibration.fit_reference import FOLDS
from pipeline.evaluation.calibration.trust import Answers, Trust, answers, calibrate_trust
from pipeline.model.loading import Models, device_for, load
from pipeline.model.manifest import MeasuredShare

USED = (Split.VALIDATION, Split.TEST)  #: to choose, to measure
COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeRemainingColumn(),
)


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
