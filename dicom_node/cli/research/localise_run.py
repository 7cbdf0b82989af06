"""Drive `dicom-node localise`: compare the systems, show and write page, figures and curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from dicom_node.cli.options import bar
from dicom_node.errors import NodeError, UsageError
from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import Split, read_cases
from pipeline.cases.slice_labels import read_slice_labels
from pipeline.errors import PipelineError
from pipeline.evaluation.localisation.report import Compared, comparison, draw_froc, slices_section
from pipeline.evaluation.localisation.run import Judged, judge_cases
from pipeline.evaluation.localisation.slices import SliceScore, score_series
from pipeline.evaluation.localisation.verdict_list import verdicts_as_csv
from pipeline.model.loading import Models

PAGE, FIGURES, CURVES = "table-5.md", "localisation.json", "froc.png"
VERDICTS = "verdicts.csv"


def judge_list(file: Path, split: Split | None, models: Models) -> Judged:
    """Judge every system on the cases of a list, or of one split of it."""
    cases = [case for case in read_cases(file) if split is None or case.split == split]
    if not cases:
        raise NodeError(f"{file.name}: cases of the split {split} expected, got none")
    with bar() as progress:
        task = progress.add_task("localising", total=len(cases))
        return judge_cases(cases, models, lambda done: progress.update(task, completed=done))


def labelled_series(texts: Sequence[str]) -> list[tuple[Path, Path]]:
    """Read folders of series and the files of readers' labels, each ``FOLDER:LABELS.csv``.

    Raises
    ------
    UsageError
        If one has another form, or is not there.
    """
    pairs = []
    for text in texts:
        folder, colon, labels = text.rpartition(":")
        if not colon or not Path(folder).is_dir() or not Path(labels).is_file():
            raise UsageError(f"an existing FOLDER:LABELS.csv expected, got {text}")
        pairs.append((Path(folder), Path(labels)))
    return pairs


def compare_slices(
    pairs: Sequence[tuple[Path, Path]], models: Models
) -> dict[str, list[SliceScore]]:
    """Hold series against readers' labels."""
    scores: dict[str, list[SliceScore]] = {}
    with bar() as progress:
        task = progress.add_task("slices", total=len(pairs))
        for folder, labels in pairs:
            try:
                scores[folder.name] = list(score_series(folder, read_slice_labels(labels), models))
            except PipelineError as fault:
                raise PipelineError(f"{labels.name}: {fault}") from fault
            progress.advance(task)
    return scores


def write(
    folder: Path,
    head: str,
    judged: Judged | None,
    summed: Compared | None,
    slices: Mapping[str, Sequence[SliceScore]],
    console: Console,
) -> None:
    """Show the page, and write it with the figures and the curves.

    Parameters
    ----------
    head
        How the page begins, as of `pipeline.evaluation.localisation.report.title`.
    judged, summed
        Verdicts on the cases of a list, and their figures.
    """
    text = "\n".join((head, comparison(summed) if summed else "", slices_section(slices)))
    figures = {
        "comparison": asdict(summed) if summed else None,
        "slices": {name: [asdict(score) for score in scores] for name, scores in slices.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / PAGE, text.encode())
    write_whole(folder / FIGURES, (json.dumps(figures, indent=2) + "\n").encode())
    if judged and summed:
        write_whole(folder / VERDICTS, verdicts_as_csv(judged.verdicts))
        write_whole(folder / CURVES, draw_froc(summed.systems))
    console.print(Markdown(text))
    console.print(f"page and figures: {folder}", markup=False)
