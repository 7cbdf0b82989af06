"""What `dicom-node process` shows while it analyses a folder offline."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from config.settings import Settings
from dicom_node.equipment import analyser_of
from dicom_node.notices import Wanted
from dicom_node.offline import FoundSeries, find_series, process
from dicom_node.request import Analysed, Analyser, Unsuitable
from dicom_node.wording import findings


def process_folder(folder: Path, out: Path, settings: Settings, console: Console) -> int:
    """Analyse every series of a folder; return how many could be analysed."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported, below
    series, others = find_series(folder)
    for path, reason in others:
        console.print(f"left out: {escape(str(path))}: {escape(reason)}")
    analyser = analyser_of(settings)
    analysed = 0
    for number, each in enumerate(series, start=1):
        target = out / f"series-{number:02d}" if len(series) > 1 else out
        answer = _with_bar(each, analyser, target, console, settings.results.not_analysed)
        analysed += isinstance(answer, Analysed)
        _tell(each, answer, target, console)
    if not series:
        console.print(f"no DICOM series in {folder}")
    return analysed


def _with_bar(
    series: FoundSeries, analyser: Analyser, target: Path, console: Console, notices: Wanted
) -> Analysed | Unsuitable:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("reading", total=1.0)

        def progress(stage: str, share: float) -> None:
            bars.update(bar, description=stage, completed=share)

        return process(series, analyser, target, progress, notices=notices)


def _tell(
    series: FoundSeries, answer: Analysed | Unsuitable, target: Path, console: Console
) -> None:
    console.print(f"series of {len(series.paths)} instances -> {target}")
    if isinstance(answer, Unsuitable):
        console.print(f"  not analysed: {escape(answer.text)} ({answer.code})")
        return
    for line in findings(answer.summary):
        console.print(f"  {escape(line)}")
