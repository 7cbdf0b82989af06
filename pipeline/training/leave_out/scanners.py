"""Train once for each group of scanners on the others, and test on that group.

It shows how a training carries over to a scanner that it has not seen. Patients are never on both
sides. Rows that the list calls ``test`` take no part: they stay unseen for the model itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import Case, Split, read_cases, split_of
from pipeline.cases.classifier_input import case_input
from pipeline.cases.scanners import scanner_groups
from pipeline.errors import PipelineError
from pipeline.metrics.groups import GroupFigures, as_csv, as_markdown, group_figures
from pipeline.metrics.operating_points import YOUDEN, operating_points
from pipeline.metrics.scores import read_scores
from pipeline.model.loading import Models
from pipeline.training.listing import Listed, prepare_rows, require_labels
from pipeline.training.run_folder import require_free
from pipeline.training.train_classifier import (
    PREPARED,
    WEIGHTS,
    ClassifierTraining,
    Material,
    train_on,
)

TABLE, RECORDS = "left-out.md", "left-out.csv"

Report = Callable[[str, int, str], None]  #: group, steps done, and the losses in words
Splits = Mapping[Path, Split]  #: by the path of a case in its list


def leave_out_scanners(
    cases: Sequence[Path],
    out: Path,
    training: ClassifierTraining,
    models: Models,
    *,
    report: Report,
) -> tuple[GroupFigures, ...]:
    """Leave out each group of scanners in turn; write ``left-out.md`` and ``left-out.csv``.

    The threshold of sensitivity and specificity is Youden's of the validation cases of the other
    groups, so nothing of the group has a part in it.

    Parameters
    ----------
    out
        The folder of each training lies in it, so what was stopped goes on.

    Raises
    ------
    PipelineError
        As `pipeline.cases.scanners.scanner_groups`; or if the other groups of one lack positive or
        negative cases to train or validate on. Nothing is trained before all of that is known.
    """
    settings = training.as_settings(cases, models)
    rows = [row for row in read_cases(*cases) if row.split is not Split.TEST]
    groups = dict(zip((row.path for row in rows), scanner_groups(rows), strict=True))
    names = sorted(set(groups.values()))
    folds = {name: _fold(rows, groups, name, training.seed) for name in names}
    runs = dict(zip(names, runs_in(out, len(names)), strict=True))
    of_run = {name: {**settings, "left_out": name} for name in names}
    for name in names:
        require_free(runs[name], of_run[name])
    drawn = split_of(rows, training.seed)
    listed = prepare_rows(rows, drawn, out / PREPARED, training.wanted, models)

    def input_of(row: Listed) -> NDArray[np.float32]:
        return case_input(row.case, models, training.wanted).tensor

    figures: list[GroupFigures] = []
    for name in names:
        fold = [replace(row, split=folds[name][row.case.path]) for row in listed]
        if not (runs[name] / WEIGHTS).exists():
            material = Material(listed=fold, settings=of_run[name], input_of=input_of)
            train_on(material, runs[name], training, models, report=partial(report, name))
        figures.append(_tested(name, runs[name]))
        write_whole(out / RECORDS, as_csv(figures).encode())
        write_whole(out / TABLE, as_markdown(figures).encode())
    return tuple(figures)


def runs_in(folder: Path, groups: int) -> list[Path]:
    """Folder of the training without each group, in the order of their names."""
    return [folder / f"group-{number}" for number in range(1, groups + 1)]


def _fold(rows: Sequence[Case], groups: Mapping[Path, str], name: str, seed: int) -> Splits:
    """Split the cases with one group as the test cases.

    Of the others those that would be test cases by lot are trained on.

    Raises
    ------
    PipelineError
        If the others lack a label to train or to validate on.
    """
    drawn = split_of(rows, seed)
    splits = {
        row.path: Split.TEST
        if groups[row.path] == name
        else Split.VALIDATION
        if drawn[row.patient] is Split.VALIDATION
        else Split.TRAIN
        for row in rows
    }
    try:
        require_labels({(splits[row.path], int(row.label or 0)) for row in rows})
    except PipelineError as fault:
        raise PipelineError(f"without the scanners {name}: {fault}") from fault
    return splits


def _tested(name: str, run: Path) -> GroupFigures:
    """Judge the group that a training has left out.

    Raises
    ------
    PipelineError
        If no case of it has a score, or too few of the validation cases.
    """
    validation = read_scores(run / f"{Split.VALIDATION}-scores.csv")
    try:
        points = operating_points(validation.labels, validation.scores)
    except ValueError as fault:
        raise PipelineError(f"validation cases without the scanners {name}: {fault}") from fault
    threshold = next(point.threshold for point in points if point.name == YOUDEN)
    return group_figures(name, read_scores(run / f"{Split.TEST}-scores.csv"), threshold)
