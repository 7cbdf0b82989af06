"""Command that compares ways of localising lesions: the paper's Table V."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli.options import Device, needs_extra, out
from dicom_node.errors import UsageError
from pipeline.cases.case_list import Split
from pipeline.model.manifest import BUNDLED

app = typer.Typer()


@app.command()
def localise(
    out_folder: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Where page and figures go.")
    ],
    cases: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="CSV: path (prepared case, DICOM folder or NIfTI), patient, label, lesions.",
        ),
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="verdicts.csv of an earlier run: make its tables again, without the cases.",
        ),
    ] = None,
    split: Annotated[Split | None, typer.Option(help="Only the cases of this split.")] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER:LABELS.csv",
            help="A series and readers' labels of its slices (z_mm, infected, lobes); repeatable.",
        ),
    ] = None,
    model: Annotated[Path, typer.Option(help="Model folder.")] = BUNDLED,
    device: Device = Device.auto,
) -> None:
    """Compare ways of localising lesions: hits, Dice, FROC (the paper's Table V)."""
    if cases is None and verdicts is None and not slices:
        raise UsageError("--cases, --verdicts or --slices expected, got none")
    if cases is not None and verdicts is not None:
        raise UsageError("--cases or --verdicts expected, got both")
    needs_extra()
    from dicom_node.cli.research.localise_run import (
        compare_slices,
        judge_list,
        labelled_series,
        write,
    )
    from pipeline.evaluation.localisation.report import title
    from pipeline.evaluation.localisation.run import Judged, compared
    from pipeline.evaluation.localisation.verdict_list import read_verdicts
    from pipeline.model.loading import device_for, load

    pairs = labelled_series(slices or ())
    models = load(model, device_for(device.value))
    judged = judge_list(cases, split, models) if cases else None
    if verdicts:
        judged = Judged(verdicts=read_verdicts(verdicts), unknown=0)
    summed = compared(judged) if judged else None  # a list without known lesions is told here
    series = compare_slices(pairs, models)
    name = f"Model: {models.manifest.name} {models.manifest.version}."
    head = title(shlex.join(["dicom-node", *sys.argv[1:]]), name)
    write(out_folder, head, judged, summed, series, out)
