"""What `dicom-node status` shows: every series and where it stands, and what was turned away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from storage.overview import Overview, SeriesLine
from storage.states import DeliveryState, SeriesState

State = TypeVar("State", SeriesState, DeliveryState)

COLOURS = {
    "delivered": "green",
    "failed": "bold red",
    "unsuitable": "yellow",
    "encoded": "cyan",
    "analysing": "magenta",
}


def as_json(overview: Overview) -> str:
    """Everything, for machines."""
    return json.dumps(asdict(overview), default=_plain, indent=2)


def _plain(value: object) -> str | dict[str, object]:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return str(value)


def show(overview: Overview, console: Console) -> None:
    """Everything, for people."""
    console.print(_totals("series", overview.states), _totals("deliveries", overview.deliveries))
    console.print(_series(overview.series))
    if overview.refusals:
        table = _table(
            "refused before it was sent", "calling AE", "what", "reason", "times", "last"
        )
        for refusal in overview.refusals:
            table.add_row(
                refusal.calling_ae,
                refusal.what,
                refusal.reason,
                str(refusal.count),
                _at(refusal.last_at),
            )
        console.print(table)
    if overview.quarantine:
        table = _table("quarantine", "calling AE", "file", "reason", "at")
        for line in overview.quarantine:
            table.add_row(line.calling_ae, line.path, line.reason, _at(line.at))
        console.print(table)


def _series(lines: tuple[SeriesLine, ...]) -> Table:
    table = _table(
        "series",
        "Series Instance UID",
        "from",
        "n",
        "state",
        "score",
        "deliveries",
        "last",
        "reason",
    )
    for line in lines:
        colour = COLOURS.get(line.state, "white")
        table.add_row(
            line.series_instance_uid,
            line.calling_ae,
            str(line.instances),
            f"[{colour}]{line.state}[/]",
            "" if line.score is None else f"{line.score:.3f}",
            _counts(line.deliveries),
            _at(line.last_at),
            line.reason,
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _totals(title: str, counts: Mapping[State, int]) -> str:
    return f"{title}: {_counts(counts) or 'none'}."


def _counts(counts: Mapping[State, int]) -> str:
    return ", ".join(f"{count} {state.value}" for state, count in counts.items())


def _at(moment: datetime) -> str:
    return moment.astimezone().strftime("%m-%d %H:%M:%S")
