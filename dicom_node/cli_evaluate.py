"""The command line for those who judge a classifier: evaluate, calibrate."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dicom_node.errors import NodeError
from dicom_node.extra import needs_extra

app = typer.Typer()
out = Console(soft_wrap=True)


class Point(StrEnum):
    """Operating points that a calibration chooses."""

    youden = "youden"
    sensitive = "sensitivity-95"
    specific = "specificity-95"


@app.command()
def evaluate(
    out_folder: Annotated[Path, typer.Option("--out", help="Where the report goes.")],
    scores: Annotated[
        Path | None, typer.Option(help="CSV file with patient, label (0 or 1), score (0 to 1).")
    ] = None,
    cases: Annotated[
        Path | None, typer.Option(help="CSV file with path, patient, label; scored by --model.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model folder for --cases; without it the bundled one.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Scores above it are positive; else the model's, or 0.5."),
    ] = None,
    prevalence: Annotated[
        list[float] | None,
        typer.Option(help="PPV and NPV at this prevalence, 0 to 1; may be given several times."),
    ] = None,
) -> None:
    """Judge a classifier: figures with intervals, plots, one HTML page to show at a meeting."""
    if any(not 0 < each < 1 for each in prevalence or ()):
        raise NodeError("expected every --prevalence between 0 and 1, both left out")
    if (scores is None) == (cases is None) or (model is not None and scores is not None):
        raise NodeError("expected either --scores, or --cases with or without --model")
    needs_extra()
    from dicom_node.evaluating import Wishes, evaluate_scores

    wishes = Wishes(threshold=threshold, prevalences=prevalence)
    if scores is not None:
        evaluate_scores(scores, out_folder, wishes, out)
    if cases is not None:
        from dicom_node.scoring import evaluate_cases
        from pipeline.manifest import BUNDLED

        evaluate_cases(cases, model or BUNDLED, out_folder, wishes, out)


@app.command()
def calibrate(
    model: Annotated[Path, typer.Argument(help="Model folder; its manifest.json is rewritten.")],
    scores: Annotated[
        Path | None,
        typer.Option(help="CSV file with patient, label, score that this model gave as it is."),
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with path, patient, label, split: validation and test are used."
        ),
    ] = None,
    point: Annotated[
        Point, typer.Option(help="Operating point that becomes the default.")
    ] = Point.youden,
) -> None:
    """Fit a model to cases of your own.

    --scores fits its temperature and operating points; --cases then its prediction sets, and the
    features by which it knows cases that are unlike its own.
    """
    if scores is None and cases is None:
        raise NodeError("expected --scores, --cases, or both")
    needs_extra()
    if scores is not None:
        from dicom_node.calibrating import calibrate_model

        calibrate_model(model, scores, point, out)
    if cases is not None:
        from dicom_node.calibrating_trust import trust_model

        trust_model(model, cases, out)
