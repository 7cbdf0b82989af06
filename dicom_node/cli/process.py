"""Run the command `process`: analyse a folder offline, and print the findings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.offline import (
    FoundSeries,
    Processed,
    find_series,
    must_be_empty,
    process,
    write_files,
)
from dicom_node.analysis.worker.faults import as_analysis_fault
from dicom_node.analysis.worker.garbage import collect_seldom
from dicom_node.analysis.worker.messages import Analysed, Unsuitable
from dicom_node.analysis.worker.stopwatch import Progress
from dicom_node.cli.options import stage_bar
from dicom_node.cli.views.stage_profile import StageProfile
from dicom_node.errors import AnalysisFault, NodeError
from pipeline.encode.common.sentences import NONE_MARKED, UNREPORTED, percent
from pipeline.errors import ConformanceError, OutOfMemory


def process_folder(
    folder: Path,
    out: Path,
    settings: Settings,
    console: Console,
    created: datetime,
    *,
    profiled: bool = False,
    process: Callable[..., Processed] = process,
) -> int:
    """Analyse every series of a folder; return how many could be analysed.

    With `profiled`, what each stage took is printed beneath the findings.

    A series that fails for a reason that nobody foresaw is named, and the next one goes on.

    Raises
    ------
    NodeError
        If `out` is neither new nor empty, or a series failed; then when all others are done.
    """
    must_be_empty(out)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported, below
    collect_seldom()
    series, others = find_series(folder, settings.results.series_number_base)
    for path, reason in others:
        console.print(f"left out: {escape(str(path))}: {escape(reason)}")
    config = analysis_config_of(settings)
    analysed = failed = 0
    for number, found in enumerate(series, start=1):
        target = out / f"series-{number:02d}" if len(series) > 1 else out
        work = partial(
            process,
            found,
            config,
            notices=settings.results.not_analysed,
            created=created,
        )
        profile = StageProfile()
        try:
            answer, files = _with_bar(as_analysis_fault(work), profile, console)
        except (AnalysisFault, ConformanceError, OutOfMemory) as fault:
            failed += 1
            console.print(f"series {found.series_instance_uid} of {len(found.paths)} instances")
            console.print(f"  failed: {escape(str(fault))}")
            continue
        write_files(files, target)
        analysed += isinstance(answer, Analysed)
        _print_answer(found, answer, target, console)
        if profiled:
            console.print(profile.table())
    if not series:
        console.print(f"no DICOM series in {folder}", markup=False)
    if failed:
        raise NodeError(f"{failed} of {len(series)} series failed, see above")
    return analysed


def _with_bar(
    work: Callable[[Progress], Processed], profile: StageProfile, console: Console
) -> Processed:
    with stage_bar(console) as bar:
        task = bar.add_task("reading", total=1.0)

        def progress(stage: str, share: float) -> None:
            profile(stage, share)
            bar.update(task, description=stage, completed=share)

        answer = work(progress)
    profile.end()
    return answer


def _print_answer(
    series: FoundSeries, answer: Analysed | Unsuitable, target: Path, console: Console
) -> None:
    console.print(f"series of {len(series.paths)} instances -> {target}", markup=False)
    if isinstance(answer, Unsuitable):
        console.print(f"  not analysed: {escape(answer.text)} ({answer.code})")
        return
    for line in findings(answer.summary):
        console.print(f"  {escape(line)}")


def findings(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the main findings of a summary (`pipeline.encode.summary`) as lines of text."""
    provenance, share, lungs = summary["provenance"], summary["involvement"], summary["lungs_ml"]
    found = [side for side, volume in lungs.items() if volume and side != "total"]
    yield f"{summary['notice']}"
    low, threshold = summary["indeterminate_from"], f"{summary['threshold']:.3f}"
    bounds = f"threshold {threshold}" if low is None else f"indeterminate {low:.3f} to {threshold}"
    yield (
        f"score {summary['score']:.3f}, {bounds} ({summary['operating_point']}):"
        f" {summary['decision']}"
    )
    if summary["scanner_bounds"] is not None:
        yield summary["scanner_bounds"]["sentence"]
    volumes = ", ".join(f"{side} {lungs[side]:.0f}" for side in found)
    yield f"lungs {lungs['total']:.0f} ml ({volumes}), by {summary['lung_method']}"
    if share["total"] is None:
        yield UNREPORTED
    elif not summary["lesions"]:
        yield NONE_MARKED
    else:
        shares = ", ".join(f"{side} {percent(share[side])}" for side in found if side in share)
        yield f"involvement {percent(share['total'])}" + (f" ({shares})" if shares else "")
        yield f"{len(summary['lesions'])} localised opacities"
    for lesion in summary["lesions"][:5]:
        key_image = lesion["key_image"] or "interpolated slices only"
        yield (
            f"  {lesion['number']}: {lesion['side'] or 'side open'}, {lesion['volume_ml']:.1f} ml,"
            f" mean {lesion['mean_hu']:.0f} HU, seen best on {key_image}"
        )
    yield f"series: {summary['geometry']['completeness']}. {summary['geometry']['statement']}"
    if summary["flags"]:
        yield f"flags: {', '.join(summary['flags'])}"
    for doubt in summary["doubts"]:
        yield f"  {doubt['code']}: {doubt['text']}"
    yield f"model {provenance['model']} {provenance['version']} on {provenance['device']}"
