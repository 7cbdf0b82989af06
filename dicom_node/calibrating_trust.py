"""What `dicom-node calibrate --cases` does and shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dicom_node.errors import NodeError
from pipeline.evaluation.calibrate_trust import Answers, Trust, answers, calibrate_trust
from pipeline.evaluation.write_trust import write_trust
from pipeline.manifest import MeasuredShare
from pipeline.models import Models, device_for, load
from pipeline.training.cases import Case, Split, read_cases

USED = (Split.VALIDATION, Split.TEST)  #: to choose, to measure
COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeRemainingColumn(),
)


def trust_model(model: Path, file: Path, console: Console) -> None:
    """Fit prediction sets and reference to the cases of a list; write them into the manifest."""
    cases = {split: [case for case in read_cases(file) if case.split == split] for split in USED}
    if not cases[Split.VALIDATION]:
        raise NodeError(f"{file}: expected rows with split 'validation', got none")
    found = _answers(model, cases, console)
    try:
        trust = calibrate_trust(found[Split.VALIDATION], found[Split.TEST])
    except ValueError as fault:
        raise NodeError(f"{file}: validation cases: {fault}") from fault
    write_trust(model, trust)
    _tell(trust, console)


def _answers(
    model: Path, cases: Mapping[Split, list[Case]], console: Console
) -> dict[Split, Answers]:
    models = load(model, device_for("auto"))
    with Progress(*COLUMNS, console=console) as bars:
        return {split: _of_split(split, chosen, models, bars) for split, chosen in cases.items()}


def _of_split(split: Split, cases: list[Case], models: Models, bars: Progress) -> Answers:
    bar = bars.add_task(f"{split} cases", total=len(cases))
    return answers(cases, models, lambda done: bars.update(bar, completed=done))


def _tell(trust: Trust, console: Console) -> None:
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
