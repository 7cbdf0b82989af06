"""Benchmark sending: objects a second, and memory."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.processes import missing, send_with, storescp
from benchmarks.rounds import (
    CEILING,
    FLOOR,
    Chapter,
    Goal,
    Line,
    Table,
    faster,
    measure,
    scratch,
)
from benchmarks.samples import ct_series, large_segmentation

OURS, DCMSEND = "dicom-node", "dcmsend"
SENDING = Goal(what="CT instances, times dcmsend", bound=FLOOR, limit=0.5)
LARGE = Goal(
    what="growth of memory while a Segmentation of 105 MB is sent, times the object",
    bound=CEILING,
    limit=1.5,
)


def sending(*, slices: int, rounds: int) -> Chapter:
    """Measure all of it, to one storescp that ignores what it receives."""
    with scratch() as folder, storescp("--ignore", "-pdu", "131072")(folder) as receiver:
        series = ct_series(folder / "series", count=slices)
        large = large_segmentation(folder / "large.dcm")
        ways: dict[str, Callable[[], float]] = {OURS: lambda: _ours(receiver.port, series)[0]}
        if not missing("dcmsend"):
            ways[DCMSEND] = functools.partial(send_with, "dcmsend", [series], receiver.port)
        table = Table(title="One association", objects=slices, seconds=measure(ways, rounds))
        size = large.stat().st_size
        grown = tuple(_ours(receiver.port, large)[1] / size for _ in range(rounds))
    return Chapter(
        title="Sending",
        said="To one storescp that ignores what it receives. Of dcmsend the whole run counts; of "
        "dicom-node, which runs anyhow, all from looking into the files to the last answer.",
        tables=(table,),
        lines=(faster(table.seconds, OURS, DCMSEND, SENDING), Line(goal=LARGE, values=grown)),
    )


def _ours(port: int, what: Path) -> tuple[float, float]:
    """Send by the node's sender: seconds, and bytes by which its memory grew at most."""
    command = [sys.executable, "-m", "benchmarks.sender", str(port), str(what)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    seconds, grown = said.stdout.split()
    return float(seconds), float(grown)
