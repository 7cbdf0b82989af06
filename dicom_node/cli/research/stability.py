"""Command that measures how far a model's scores move when a scan changes harmlessly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli.options import CaseList, Device, Splits, needs_extra, out
from pipeline.model.manifest import BUNDLED

app = typer.Typer()


@app.command()
def stability(
    cases: CaseList,
    out_folder: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Where table, scores and plot go.")
    ],
    model: Annotated[Path, typer.Option(help="Model folder.")] = BUNDLED,
    split: Splits = None,
    at_most: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SD",
            help="End with status 1 if the scores of a case deviate more, if its answers range"
            " from below to above, or if it cannot be scored.",
        ),
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option(help="Only this change; may be repeated. Without: all.")
    ] = None,
    device: Device = Device.auto,
) -> None:
    """Measure how far scores move when scans change harmlessly: kernel, spacing, mask and so on.

    Cases are named by the last parts of their paths. They need no labels. Each is scored up to 17
    times; one that cannot be is told, and the others go on.
    """
    needs_extra()
    from dicom_node.cli.research.selection import Selection, select
    from dicom_node.cli.research.stability_run import hold, measure, require_known, show
    from pipeline.model.loading import device_for, load

    require_known(change or ())
    chosen, words = select(Selection(files=cases, split=split, labelled=False))
    out.print(words, highlight=False)
    models = load(model, device_for(device.value))
    measured = measure(chosen, models, change or (), out_folder, out)
    show(measured.scores, models.manifest, out_folder, out)
    if at_most is not None:
        hold(measured, at_most)
