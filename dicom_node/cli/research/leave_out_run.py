"""Drive `dicom-node train classifier --leave-out scanner`: train, show figures of each group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from dicom_node.cli.options import bar, out
from dicom_node.cli.research.evaluate_run import print_groups
from pipeline.model.loading import Models
from pipeline.training.leave_out import scanners
from pipeline.training.train_classifier import ClassifierTraining


def leave_out_scanners(
    cases: Sequence[Path], folder: Path, training: ClassifierTraining, models: Models
) -> list[Path]:
    """Train without each group of scanners, and show what the trainings make of that group.

    Returns
    -------
    list[Path]
        The folders of the trainings.
    """
    with bar() as progress:
        task = progress.add_task("preparing", total=training.schedule.steps)

        def report(group: str, done: int, text: str) -> None:
            words = escape(f"without {group}: {text}")
            progress.update(task, completed=done, description=words)

        figures = scanners.leave_out_scanners(cases, folder, training, models, report=report)
    print_groups(figures, out)
    out.print(f"table: {folder / scanners.TABLE}", markup=False)
    return scanners.runs_in(folder, len(figures))
