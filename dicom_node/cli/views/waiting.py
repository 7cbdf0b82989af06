"""Show what waiting for the end of series has cost: `status --waiting`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from storage.series.closings import WaitLine

DAYS = 30  #: of which closings are shown


def as_json(lines: Sequence[WaitLine]) -> str:
    """Write the lines as JSON, for machines."""
    return json.dumps({"days": DAYS, "senders": [asdict(line) for line in lines]}, indent=2)


def show(lines: Sequence[WaitLine], console: Console) -> None:
    """Print for people what waiting cost, from the latest instance of a series to its closing."""
    if not lines:
        console.print(f"no series was closed in {DAYS} days.")
        return
    console.print(f"seconds from the latest instance to closing, in {DAYS} days:")
    for line in lines:
        console.print(
            f"{_plain(line.calling_ae or '(no title)'):<16}  {line.series} series, median"
            f" {line.median_seconds:.1f}, p95 {line.p95_seconds:.1f}: {_counts(line.closed_by)}",
            highlight=False,
        )
        if line.too_early:
            console.print(f"{'':<16}  closed too early: {_counts(line.too_early)}", highlight=False)


def _counts(counts: Mapping[str, int]) -> str:
    return _plain(", ".join(f"{count} {proof}" for proof, count in counts.items()))


def _plain(value: str) -> str:
    """Escape text from the network: nothing of it may control a terminal."""
    return escape("".join(char if char.isprintable() else "?" for char in value))
