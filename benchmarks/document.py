"""The document: what was measured, on what, and which goals were met."""

from __future__ import annotations

import os
import platform
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.rounds import Chapter, Line, Table
from benchmarks.samples import WIDTH

GIGABYTE = 1_000_000_000


def document(chapters: Sequence[Chapter], *, slices: int, rounds: int) -> str:
    """Write it in Markdown."""
    command = f"python -m benchmarks --slices {slices} --rounds {rounds}"
    head = f"""# Speed

Made by `{command} --out docs/benchmarks.md` on {datetime.now(UTC):%Y-%m-%d};
receiving and sending are not edited by hand.

{slices} synthetic CT instances of {WIDTH} x {WIDTH} x 16 bit, over loopback. Rounds: {rounds},
each way once in each, the order turned round each time. A ratio is taken within a round; medians
are given, and the least and the most behind them. DCMTK and Orthanc run with `TCP_NODELAY=1`,
storescp with `-pdu 131072`, unless it says *as shipped*.

Machine: {machine()}.
Versions: {_versions()}.
"""
    return "\n".join([head, *map(_chapter, chapters)])


def _chapter(chapter: Chapter) -> str:
    goals = ["| goal | wanted | measured | met |", "|---|---|---|---|"]
    goals += [_goal(line) for line in chapter.lines]
    tables = [_table(table) for table in chapter.tables]
    return "\n".join([f"## {chapter.title}\n\n{chapter.said}\n", *goals, "", *tables])


def _goal(line: Line) -> str:
    goal = line.goal
    wanted = f"{goal.bound} {goal.limit:g}{goal.unit}"
    if line.not_measured:
        return f"| {goal.what} | {wanted} | not measured: {line.not_measured} | unknown |"
    spread = f"{min(line.values):.2f}–{max(line.values):.2f}"
    met = "yes" if goal.met(line.value) else "**no**"
    return f"| {goal.what} | {wanted} | {line.value:.2f}{goal.unit} ({spread}) | {met} |"


def _table(table: Table) -> str:
    rows = [f"| {table.title} | instances a second |", "|---|---|"]
    for name, seconds in table.seconds.items():
        rates = [table.objects / duration for duration in seconds]
        median = statistics.median(rates)
        rows.append(f"| {name} | {median:.0f} ({min(rates):.0f}–{max(rates):.0f}) |")
    return "\n".join([*rows, ""])


def machine() -> str:
    """Describe the machine, and how busy it was."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = cpu[1] if cpu else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    kind = _said("stat", "--file-system", "--format=%T", tempfile.gettempdir())
    load = os.getloadavg()[2]
    return (
        f"{os.cpu_count()} cores ({name}), {memory:.0f} GB, file system {kind}, Linux "
        f"{platform.release()}; load of the last quarter of an hour {load:.1f}"
    )


def _versions() -> str:
    ours = [f"{name} {version(name)}" for name in ("dicom-node", "pynetdicom", "pydicom")]
    dcmtk = _number("DCMTK", "storescp", "--version")
    return ", ".join([f"Python {platform.python_version()}", *ours, dcmtk, _orthanc()])


def _orthanc() -> str:
    return _number("Orthanc", "Orthanc", "--version")


def _number(name: str, *command: str) -> str:
    if shutil.which(command[0]) is None:
        return f"{name} not installed"
    found = re.search(r"\d+\.\d+\.\d+", _said(*command))
    return f"{name} {found[0] if found else 'of an unknown version'}"


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
