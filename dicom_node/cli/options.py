"""Options, consoles and progress bars that the commands share, and the check of the extra."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from config.errors import SettingsError
from config.reader import load
from dicom_node.errors import NodeError, UsageError
from pipeline.model.manifest import BUNDLED

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

LIBRARIES = ("matplotlib", "sklearn")  #: the extra `training`; a node needs none of them
BUNDLED_NAME = "bundled"  #: names the model that the package brings along

Ini = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="DICOM_NODE_CONFIG", help="The INI file with the settings."
    ),
]
INI = Path("dicom-node.ini")


def destinations_of(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a destination, of the INI file as far as it can be read."""
    try:
        settings = load(context.params.get("config") or INI)
    except SettingsError:
        return []
    return [one.name for one in settings.destinations if one.name.startswith(incomplete)]


DestinationName = Annotated[
    str,
    typer.Argument(help="A destination of the settings.", autocompletion=destinations_of),
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
DAY = "today|yesterday|YYYY-MM-DD"  #: forms in which a day is named

CaseList = Annotated[
    list[Path],
    typer.Option(
        exists=True,
        dir_okay=False,
        help="CSV: path (DICOM folder or NIfTI), patient, label [lungs, lesions, slices, split,"
        " scanner]; several lists are joined.",
    ),
]
RunFolder = Annotated[
    Path,
    typer.Option(
        "--out",
        file_okay=False,
        help="Run folder; the same command goes on where it was stopped.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Everything random follows from it.")]
Steps = Annotated[int, typer.Option(min=1, help="Steps at most; validation may end it earlier.")]
Base = Annotated[Path, typer.Option("--model", help="Model folder whose lungs are used.")]
Pairs = Annotated[int, typer.Option(min=1, help="Positive and negative cases a step.")]
Masks = Annotated[bool, typer.Option(help="Learn from lesion masks where known.")]
Rows = Annotated[int, typer.Option(min=32, help="Rows of the network's input.")]
Columns = Annotated[int, typer.Option(min=48, help="Columns of the network's input.")]
SliceMm = Annotated[float, typer.Option(min=0.5, help="Distance of its planes.")]


class SplitChoice(StrEnum):
    """Split of a list, or all of it."""

    test = "test"
    validation = "validation"
    train = "train"
    all = "all"


Splits = Annotated[
    SplitChoice | None,
    typer.Option(help="Of --cases; without it the test cases if the list names splits, else all."),
]
PixelMm = Annotated[
    float | None,
    typer.Option(
        min=0.5,
        help="Size of its pixels, mm: square, each the mean over its area (sampling 2). Without,"
        " the lungs' box is stretched to rows and columns.",
    ),
]


def needs_extra() -> None:
    """Check that the extra `training` is installed.

    Raises
    ------
    NodeError
        If a library is missing; the message says how to install it.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise NodeError(
            f"{', '.join(missing)} expected, not installed:"
            " install them with `pip install dicom-node[training]`"
        )


def day_of(text: str, now: datetime) -> tuple[datetime, datetime]:
    """Read a day of this machine's time zone: when it begins, and when the next one does.

    Raises
    ------
    UsageError
        If it is none of `DAY`.
    """
    named = {"today": now.date(), "yesterday": now.date() - timedelta(days=1)}
    try:
        day = named.get(text) or date.fromisoformat(text)
        following = day + timedelta(days=1)
    except (ValueError, OverflowError):
        raise UsageError(f"expected a day, {DAY}, got {text!r}") from None
    start, end = (datetime(one.year, one.month, one.day).astimezone() for one in (day, following))
    return start, end


class Device(StrEnum):
    """Device that computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def bar(console: Console | None = None) -> Progress:
    """Progress bar of steps that are counted, on rich's own console if none is given."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def stage_bar(console: Console) -> Progress:
    """Progress bar of named stages; it disappears at the end."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def folder_of(model: str) -> Path:
    """Folder of a model: the bundled one by its name, any other by its path."""
    return BUNDLED if model == BUNDLED_NAME else Path(model)
