"""``python -m benchmarks.analysis``: measure the analysis, from files to encoded results.

Costs are of a process of its own, `dicom-node process`. A cold one analyses one series; what each
further copy of the series in the same folder adds is the cost of a warm one. Processor seconds are
given beside seconds, because they are less of the load of other programs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import generate_uid

from benchmarks.document import machine
from benchmarks.rounds import scratch
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom

TITLE = "## Analysing"  #: up to the next chapter of the document it is this module's
LENGTH_MM = 300.0  #: of the phantoms, whatever the number of their slices, but for
MAX_SPACING_MM = 5.0  #: of slices: others are refused
OLD, NEW = "before", "now"
HERE = Path(__file__).parents[1]  #: the tree that is measured
WARM = 2  #: further series in a warm process
PEAK = re.compile(r"\u2502 all .*\u2502 +(\d+) \u2502")  #: in the table of the stages, MB
ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""As a node starts its workers (`dicom_node.analysis.engine.connection`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of a process."""

    seconds: float
    cpu_seconds: float

    def each(self, other: Cost, count: int) -> Cost:
        """Cost of each of so many further series."""
        return Cost(
            seconds=(self.seconds - other.seconds) / count,
            cpu_seconds=(self.cpu_seconds - other.cpu_seconds) / count,
        )


def main() -> None:
    """Read the command line, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analysis", description=__doc__)
    parser.add_argument("--slices", type=int, nargs="+", default=[30, 150, 600, 1500])
    parser.add_argument("--series", type=Path, help="a real series, in pairs with an older version")
    parser.add_argument("--old", type=Path, help="source tree, or site-packages, of that version")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--into", type=Path, help="document whose chapter is replaced; else printed"
    )
    options = parser.parse_args()
    with scratch() as folder:
        series = options.series or phantom(folder / "150", 150)
        lines = [*_head(options), *_sizes(folder, options.slices, options.threads)]
        lines += _paired(folder, series, options)
    text = "\n".join(lines) + "\n"
    if options.into is None:
        print(text)
        return
    before, _, chapter = options.into.read_text().partition(TITLE)
    _, mark, after = chapter.partition("\n## ")  # of others, who measure them
    options.into.write_text(f"{before.rstrip()}\n\n{text}{mark}{after}")


def _head(options: argparse.Namespace) -> list[str]:
    return [
        TITLE,
        "",
        f"Made by `python -m benchmarks.analysis` on {datetime.now(UTC):%Y-%m-%d},"
        f" {options.threads} threads. {machine()}; load {os.getloadavg()[0]:.1f} at the start."
        " Phantoms of 512 x 512 x 16 bit over 300 mm, `dicom-node process`, files to results.",
        "",
    ]


def phantom(folder: Path, slices: int) -> Path:
    """Write a phantom of so many slices."""
    spec = PhantomSpec(slices=slices, spacing_mm=min(MAX_SPACING_MM, LENGTH_MM / slices))
    write_series(phantom_datasets(make_phantom(spec), seed=1), folder)
    return folder


def copies(series: Path, folder: Path, count: int) -> Path:
    """Lay so many copies of a series into a folder, each a series of its own."""
    for number in range(count):
        uid = generate_uid()
        (folder / str(number)).mkdir(parents=True)
        for path in sorted(file for file in series.iterdir() if file.is_file()):
            dataset = dcmread(path)
            dataset.SeriesInstanceUID = uid
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.save_as(folder / str(number) / path.name)
    return folder


def cost_of(command: Sequence[str], environment: dict[str, str]) -> tuple[Cost, str]:
    """Run a command; its cost, and what it said.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | ALLOCATOR | environment, stdout=subprocess.PIPE, text=True
    )
    said = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}: {said[-500:]}")
    return (
        Cost(
            seconds=time.perf_counter() - began,
            cpu_seconds=used.ru_utime + used.ru_stime,
        ),
        said,
    )


def processed(
    folder: Path, out: Path, threads: int, tree: Path | None = None, *options: str
) -> tuple[Cost, str]:
    """Cost of `dicom-node process`, of another version if its tree is given."""
    shutil.rmtree(out, ignore_errors=True)
    ini = out.with_suffix(".ini")
    ini.write_text(f"[analysis]\nthreads = {threads}\n[selection]\nmin_coverage_mm = 100\n")
    process = ["-m", "dicom_node", "process", str(folder), "--out", str(out), "--config", str(ini)]
    command = [sys.executable, "-P", *process, *options]  # -P: not of the folder this runs in
    return cost_of(command, {"PYTHONPATH": str(tree or HERE)})


def _sizes(folder: Path, counts: Sequence[int], threads: int) -> list[str]:
    """Rows of the sizes, and the stages of the largest."""
    rows = ["| slices | seconds, cold | processor seconds | peak memory, MB |", "|---|---|---|---|"]
    stages = ""
    for slices in counts:
        source = phantom(folder / f"phantom-{slices}", slices)
        cost, stages = processed(source, folder / "out", threads, None, "--profile")
        peak_mb = PEAK.search(stages)  # not ru_maxrss: it begins with that of this process
        rows.append(
            f"| {slices} | {cost.seconds:.1f} | {cost.cpu_seconds:.1f} |"
            f" {peak_mb[1] if peak_mb else 'unknown'} |"
        )
        shutil.rmtree(source)
        print(rows[-1], stages[-2500:], file=sys.stderr, sep="\n")
    table = stages[stages.find("\u250f") :].strip()
    return [*rows, "", f"Stages of {counts[-1]} slices:", "", "```", table, "```", ""]


def _paired(folder: Path, series: Path, options: argparse.Namespace) -> list[str]:
    """Rows of the warm series, beside the authors' networks and an older version, in turn."""
    one, many = copies(series, folder / "one", 1), copies(series, folder / "many", 1 + WARM)
    slices = len(list((folder / "one" / "0").iterdir()))
    trees: dict[str, Path | None] = {NEW: None, **({OLD: options.old} if options.old else {})}
    found: dict[str, list[Cost]] = {name: [] for name in (*trees, "networks")}
    for turn in range(options.rounds):
        for name in sorted(trees, reverse=bool(turn % 2)):
            cold, _ = processed(one, folder / "out", options.threads, trees[name])
            warm, _ = processed(many, folder / "out", options.threads, trees[name])
            found[name].append(warm.each(cold, WARM))
        _, said = cost_of([sys.executable, "-m", "benchmarks.eager", str(slices)], {})
        found["networks"].append(Cost(**json.loads(said)))
    lines = [
        f"A further series of {slices} slices in a warm process, {options.rounds} rounds, medians:",
        "",
        "| | seconds | processor seconds | processor seconds, times those of now |",
        "|---|---|---|---|",
    ]
    names = {NEW: "now", OLD: "before", "networks": "the authors' networks alone, eager, 368 px"}
    for name, costs in found.items():
        ratios = [
            its.cpu_seconds / ours.cpu_seconds for its, ours in zip(costs, found[NEW], strict=True)
        ]
        lines.append(
            f"| {names[name]} | {statistics.median(cost.seconds for cost in costs):.1f} |"
            f" {statistics.median(cost.cpu_seconds for cost in costs):.1f} |"
            f" {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) |"
        )
    return lines


if __name__ == "__main__":
    main()
