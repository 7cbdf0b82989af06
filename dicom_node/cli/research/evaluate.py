"""Commands that evaluate a classifier and calibrate it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli.options import BUNDLED_NAME, Splits, folder_of, needs_extra, out
from dicom_node.errors import UsageError

app = typer.Typer()


class Point(StrEnum):
    """Operating points that a calibration chooses."""

    youden = "youden"
    sensitive = "sensitivity-95"
    specific = "specificity-95"


@app.command()
def evaluate(
    out_folder: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Where the report goes.")
    ],
    scores: Annotated[
        Path | None, typer.Option(help="CSV file with patient, label (0 or 1), score (0 to 1).")
    ] = None,
    cases: Annotated[
        Path | None, typer.Option(help="CSV file with path, patient, label; scored by --model.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Model folder, or 'bundled'. It scores --cases (without it the bundled one);"
            " --scores, which its weights must have given, are calibrated and called as it does.",
        ),
    ] = None,
    split: Splits = None,
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
    if any(not 0 < share < 1 for share in prevalence or ()):
        raise UsageError("expected every --prevalence between 0 and 1, both left out")
    if (scores is None) == (cases is None) or (split is not None and cases is None):
        raise UsageError("expected either --scores, or --cases with or without --split")
    needs_extra()
    from dicom_node.cli.research.evaluate_run import (
        EvaluationOptions,
        evaluate_cases,
        evaluate_scores,
    )
    from dicom_node.cli.research.selection import Selection

    options = EvaluationOptions(threshold=threshold, prevalences=prevalence)
    if scores is not None:
        evaluate_scores(scores, folder_of(model) if model else None, out_folder, options, out)
    if cases is not None:
        selection = Selection(files=[cases], split=split)
        evaluate_cases(selection, folder_of(model or BUNDLED_NAME), out_folder, options, out)


@app.command()
def calibrate(
    model: Annotated[Path, typer.Argument(help="Model folder; its manifest.json is rewritten.")],
    scores: Annotated[
        Path | None,
        typer.Option(
            help="Scores that this model's weights gave, as `train` and `evaluate --cases` write"
            " them."
        ),
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
    by_scanner: Annotated[
        bool,
        typer.Option(
            "--by-scanner",
            help="Of --cases: prediction sets of each group of scanners with enough cases too, for"
            " [analysis] bounds_by_scanner.",
        ),
    ] = False,
) -> None:
    """Fit a model to cases of your own.

    --scores fits its temperature and operating points; --cases then its prediction sets, and the
    features by which it knows cases that are unlike its own.
    """
    if scores is None and cases is None:
        raise UsageError("expected --scores, --cases, or both")
    if by_scanner and cases is None:
        raise UsageError("expected --cases with --by-scanner")
    needs_extra()
    from dicom_node.cli.research.calibrate_run import (
        answers_of,
        calibrate_model,
        fit,
        read_split_cases,
    )

    listed = read_split_cases(cases) if cases else None
    fitted = fit(model, scores) if scores else None
    answers = answers_of(model, listed, out, by_scanner=by_scanner) if listed else None
    calibrate_model(model, fitted, answers, point, out)
