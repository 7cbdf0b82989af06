"""What `dicom-node process` shows while it analyses a folder offline."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from config.settings import Settings
from dicom_node.analysis.configuration import analyser_of
from dicom_node.analysis.messages import Analysed, Unsuitable
from dicom_node.analysis.offline import FoundSeries, find_series, must_be_empty, process
from dicom_node.analysis.worker import Progress
from dicom_node.cli.process_wording import findings


def process_folder(
    folder: Path, out: Path, settings: Settings, console: Console, created: datetime
) -> int:
    """Analyse every series of a folder; return how many could be analysed.

    Raises
    ------
    NodeError
        If `out` is neither new nor empty.
    """
    must_be_empty(out)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported, below
    series, others = find_series(folder)
    for path, reason in others:
        console.print(f"left out: {escape(str(path))}: {escape(reason)}")
    analyser = analyser_of(settings)
    analysed = 0
    for number, each in enumerate(series, start=1):
        target = out / f"series-{number:02d}" if len(series) > 1 else out
        work = partial(
            process,
            each,
            analyser,
            target,
            notices=settings.results.not_analysed,
            created=created,
        )
        answer = _with_bar(work, console)
        analysed += isinstance(answer, Analysed)
        _tell(each, answer, target, console)
    if not series:
        console.print(f"no DICOM series in {folder}")
    return analysed


def _with_bar(
    work: Callable[[Progress], Analysed | Unsuitable], console: Console
) -> Analysed | Unsuitable:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("reading", total=1.0)

        def progress(stage: str, share: float) -> None:
            bars.update(bar, description=stage, completed=share)

        return work(progress)


def _tell(
    series: FoundSeries, answer: Analysed | Unsuitable, target: Path, console: Console
) -> None:
    console.print(f"series of {len(series.paths)} instances -> {target}")
    if isinstance(answer, Unsuitable):
        console.print(f"  not analysed: {escape(answer.text)} ({answer.code})")
        return
    for line in findings(answer.summary):
        console.print(f"  {escape(line)}")
