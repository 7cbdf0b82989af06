"""Commands that train: a classifier, the lungs' network; and one that makes synthetic cases."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dicom_node.cli.options import (
    BUNDLED_NAME,
    Base,
    CaseList,
    Columns,
    Device,
    Masks,
    Pairs,
    PixelMm,
    Rows,
    RunFolder,
    Seed,
    SliceMm,
    Steps,
    bar,
    needs_extra,
    out,
)
from dicom_node.errors import UsageError
from pipeline.model.manifest import BUNDLED, UNET_STRIDE, ClassifierInput, read_manifest

if TYPE_CHECKING:  # the command line starts without torch
    from pipeline.model.loading import Models
    from pipeline.training.fit import Schedule
    from pipeline.training.train_classifier import ClassifierTraining

WINDOW_HU = (-1200.0, 600.0)  #: attenuation window of a classifier's input
MARGIN_MM = 5.0  #: around the lungs, in its box

app = typer.Typer(no_args_is_help=True, help="Train a network on your own cases.")
synthesis = typer.Typer()

Source = Annotated[
    list[str] | None,
    typer.Option(help="What the cases are, in words, for the model card; may be repeated."),
]


class LeftOut(StrEnum):
    """Groups of cases that are left out of the training in turn."""

    scanner = "scanner"


class Precision(StrEnum):
    """Arithmetic of the training; bf16 is automatic mixed precision, auto takes it on a GPU."""

    fp32 = "fp32"
    bf16 = "bf16"
    auto = "auto"

    def on(self, device: str) -> str:
        """Precision on a device: ``fp32`` or ``bf16``."""
        if self is Precision.auto:
            return str(Precision.bf16 if device == "cuda" else Precision.fp32)
        return str(self)


def training_of(
    network: str,
    schedule: Schedule,
    *,
    seed: int,
    pairs: int,
    masks: bool,
    rows: int,
    columns: int,
    slice_mm: float,
    pixel_mm: float | None = None,
    start: Path | None = None,
    views: int = 1,
) -> ClassifierTraining:
    """Options of a training from those of a command line, as `train` and `compare` have them."""
    from pipeline.training.train_classifier import ClassifierTraining

    return ClassifierTraining(
        network=network,
        seed=seed,
        wanted=input_of(rows, columns, slice_mm, pixel_mm),
        schedule=schedule,
        pairs=pairs,
        masks=masks,
        start=start,
        views=views,
    )


def input_of(rows: int, columns: int, slice_mm: float, pixel_mm: float | None) -> ClassifierInput:
    """Input of a classifier; with a size of its pixels it is sampled by averages."""
    return ClassifierInput(
        rows=rows,
        columns=columns,
        slice_mm=slice_mm,
        window_hu=WINDOW_HU,
        margin_mm=MARGIN_MM,
        sampling=1 if pixel_mm is None else 2,
        pixel_mm=pixel_mm,
    )


def weights_of(start: str, *, of_lungs: bool = False) -> Path:
    """Find weights to begin with: a file, a model folder, or those of the package.

    Parameters
    ----------
    of_lungs
        Of a folder, the UNet's are meant; else the classifier's.

    Raises
    ------
    UsageError
        If there are none.
    """
    place = BUNDLED if start == BUNDLED_NAME else Path(start)
    if place.is_dir():
        manifest, _ = read_manifest(place)
        networks = manifest.networks
        place /= networks.lungs.file if of_lungs else networks.classifier.file
    if not place.is_file():
        raise UsageError(f"weights, a model folder or '{BUNDLED_NAME}' expected, got {start}")
    return place


@app.command("classifier")
def classifier(
    cases: CaseList,
    run: RunFolder,
    network: Annotated[str, typer.Option(help="Which classifier.")] = "evidence-net",
    seed: Seed = 1,
    steps: Steps = 3000,
    judge_every: Annotated[int, typer.Option(min=1, help="Steps between validations.")] = 250,
    patience: Annotated[int, typer.Option(min=1, help="Validations without gain.")] = 8,
    rate: Annotated[float, typer.Option(min=0, help="Highest learning rate.")] = 1e-3,
    pairs: Pairs = 2,
    masks: Masks = True,
    views: Annotated[
        int,
        typer.Option(min=1, max=2, help="Views of each case; 2 teach the score to hold still."),
    ] = 1,
    rows: Rows = 112,
    columns: Columns = 168,
    slice_mm: SliceMm = 4.0,
    pixel_mm: PixelMm = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Weights of this network to begin with: a file, a model folder, or 'bundled'.",
        ),
    ] = None,
    precision: Precision = Precision.fp32,
    device: Device = Device.auto,
    workers: Annotated[int, typer.Option(min=1, help="Threads that draw cases.")] = 1,
    leave_out: Annotated[
        LeftOut | None,
        typer.Option(
            help="Train once for each group of scanners on the others and test on that group:"
            " figures, no model. Rows of split test take no part."
        ),
    ] = None,
    model: Base = BUNDLED,
    source: Source = None,
) -> None:
    """Train a classifier: weights, checkpoint, curves, scores of validation and test cases.

    Of a network that the node can run, a model folder is made as well, for `dicom-node calibrate`.
    """
    needs_extra()
    from dicom_node.cli.research.leave_out_run import leave_out_scanners
    from pipeline.model.loading import device_for, load
    from pipeline.training.classifiers import CLASSIFIERS, DEPLOYABLE
    from pipeline.training.fit import Schedule

    if network not in CLASSIFIERS:
        raise UsageError(f"a network of {', '.join(CLASSIFIERS)} expected, got {network}")
    where = device_for(device.value)
    schedule = Schedule(
        steps=steps,
        validate_every=judge_every,
        patience=patience,
        peak_rate=rate,
        precision=precision.on(where.type),
        workers=workers,
    )
    training = training_of(
        network,
        schedule,
        seed=seed,
        pairs=pairs,
        masks=masks,
        rows=rows,
        columns=columns,
        slice_mm=slice_mm,
        pixel_mm=pixel_mm,
        start=None if start is None else weights_of(start),
        views=views,
    )
    if leave_out is not None:
        for folder in leave_out_scanners(cases, run, training, load(model, where)):
            _print_unscored(folder)
        return
    weights = _train(cases, run, training, load(model, where))
    if network in DEPLOYABLE:
        _make_model(run, weights, training, model, source or undescribed(cases))


def _train(cases: Sequence[Path], run: Path, training: ClassifierTraining, models: Models) -> Path:
    """Train with a progress bar; say where the weights are, and which cases have no score."""
    from pipeline.training.train_classifier import train_classifier

    with bar() as progress:
        task = progress.add_task("preparing", total=training.schedule.steps)
        weights = train_classifier(
            cases,
            run,
            training,
            models,
            report=lambda done, text: progress.update(task, completed=done, description=text),
        )
    out.print(f"weights: {weights}", markup=False)
    _print_unscored(run)
    return weights


def _print_unscored(run: Path) -> None:
    """Say where the cases without a score are named, if there are any."""
    for unscored in sorted(run.glob("*-unscored.txt")):
        out.print(f"[yellow]cases without a score[/], and why: {escape(str(unscored))}")


def _make_model(
    run: Path, weights: Path, training: ClassifierTraining, base: Path, trained_on: Sequence[str]
) -> None:
    """Make the model folder of a run, if there is none yet; say where it is."""
    from pipeline.training.model_folder import Trained, build, figures_of, write_model

    scores = run / "validation-scores.csv"
    trained = Trained(
        network=training.network,
        weights=weights,
        wanted=training.wanted,
        trained_on=trained_on,
        reproduce=_command(),
        metrics=figures_of(scores),
    )
    name = run.resolve().name
    made = build(
        run / "model", lambda folder: write_model(folder, base, trained, name=name, version="1")
    )
    hint = f"calibrate it with {scores}" if made else "it was there, and is left as it was"
    out.print(f"model: {run / 'model'} ({hint})", highlight=False, markup=False)


@app.command("paper")
def paper(
    cases: CaseList,
    run: RunFolder,
    seed: Seed = 1,
    steps: Steps = 49_900,
    judge_every: Annotated[int, typer.Option(min=1, help="Steps between validations.")] = 499,
    rows: Rows = 224,
    columns: Columns = 336,
    slice_mm: SliceMm = 1.0,
    precision: Annotated[
        Precision, typer.Option(help="Mixed (bf16) on a GPU, unless another is given.")
    ] = Precision.auto,
    device: Device = Device.auto,
    workers: Annotated[int, typer.Option(min=1, help="Threads that draw cases.")] = 1,
    model: Base = BUNDLED,
    source: Source = None,
) -> None:
    """Train DeCoVNet by the paper's recipe: whole scans one by one, Adam at 1e-5, labels alone."""
    needs_extra()
    from pipeline.model.loading import device_for, load
    from pipeline.training.paper import paper_schedule
    from pipeline.training.train_classifier import PAPER, ClassifierTraining

    models = load(model, device_for(device.value))
    schedule = paper_schedule(
        steps,
        validate_every=judge_every,
        precision=precision.on(models.device.type),
        workers=workers,
    )
    training = ClassifierTraining(
        network="decovnet",
        seed=seed,
        wanted=input_of(rows, columns, slice_mm, None),
        schedule=schedule,
        masks=False,
        recipe=PAPER,
    )
    weights = _train(cases, run, training, models)
    _make_model(run, weights, training, model, source or undescribed(cases))


@app.command("lungs")
def lungs(
    cases: CaseList,
    run: RunFolder,
    seed: Seed = 1,
    steps: Steps = 1500,
    judge_every: Annotated[int, typer.Option(min=1, help="Steps between validations.")] = 100,
    patience: Annotated[int, typer.Option(min=1, help="Validations without gain.")] = 5,
    rate: Annotated[float, typer.Option(min=0, help="Highest learning rate.")] = 2e-3,
    size: Annotated[int, typer.Option(min=64, help="Rows and columns, a multiple of 16.")] = 192,
    batch: Annotated[int, typer.Option(min=1, help="Slices a step.")] = 8,
    phantoms: Annotated[int, typer.Option(min=0, help="Phantoms to learn from.")] = 40,
    held_out: Annotated[int, typer.Option(min=0, help="Phantoms to validate on.")] = 6,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Weights of a UNet to begin with: a file, a model folder, or 'bundled'.",
        ),
    ] = None,
    precision: Precision = Precision.fp32,
    device: Device = Device.auto,
    model: Annotated[Path, typer.Option("--model", help="It gives the classifier.")] = BUNDLED,
    source: Source = None,
) -> None:
    """Train the UNet that finds the lungs; the run folder holds a model folder in the end."""
    needs_extra()
    from pipeline.model.loading import device_for
    from pipeline.training.fit import Schedule
    from pipeline.training.train_lungs import LungTraining, ModelOrigin, train_lungs

    there = (run / "model").exists()
    if size % UNET_STRIDE:
        raise UsageError(f"a size that is a multiple of {UNET_STRIDE} expected, got {size}")
    where = device_for(device.value)
    training = LungTraining(
        seed=seed,
        schedule=Schedule(
            steps=steps,
            validate_every=judge_every,
            patience=patience,
            peak_rate=rate,
            precision=precision.on(where.type),
        ),
        size=size,
        batch=batch,
        phantoms=phantoms,
        held_out_phantoms=held_out,
        start=None if start is None else weights_of(start, of_lungs=True),
    )
    origin = ModelOrigin(base=model, trained_on=source or undescribed(cases), reproduce=_command())
    with bar() as progress:
        task = progress.add_task("preparing", total=steps)
        folder = train_lungs(
            cases,
            run,
            training,
            origin=origin,
            device=where,
            report=lambda done, text: progress.update(task, completed=done, description=text),
        )
    out.print(
        f"model: {folder}{' (it was there, and is left as it was)' if there else ''}", markup=False
    )


@synthesis.command("synthesise")
def synthesise(
    folder: Annotated[
        Path, typer.Argument(file_okay=False, help="Where the cases and cases.csv go.")
    ],
    train: Annotated[int, typer.Option(min=0, help="Phantoms to train on.")] = 60,
    validation: Annotated[int, typer.Option(min=0, help="Phantoms to validate on.")] = 12,
    test: Annotated[int, typer.Option(min=0, help="Phantoms to test on.")] = 32,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of cases from each phantom.")] = 6,
    real: Annotated[
        Path | None,
        typer.Option(exists=True, help="CSV of real chests without opacities to paint into."),
    ] = None,
    real_pairs: Annotated[int, typer.Option(min=1, help="Pairs from each real chest.")] = 40,
    seed: Seed = 1,
    pixel_mm: PixelMm = None,
    model: Base = BUNDLED,
) -> None:
    """Make synthetic cases: COVID-like opacities and other diseases painted into healthy lungs."""
    needs_extra()
    from pipeline.cases.case_list import Split, read_cases
    from pipeline.model.loading import device_for, load
    from pipeline.synthetic.disease.synthesise import Recipe, synthesise

    recipe = Recipe(
        seed=seed,
        phantoms={Split.TRAIN: train, Split.VALIDATION: validation, Split.TEST: test},
        pairs_per_phantom=pairs,
        pairs_per_real=real_pairs,
    )
    chests = read_cases(real, labelled=False) if real else ()
    models = load(model, device_for("auto"))
    sampling = {"sampling": 1 if pixel_mm is None else 2, "pixel_mm": pixel_mm}
    wanted = models.manifest.networks.classifier.input.model_copy(update=sampling)
    with bar() as progress:
        task = progress.add_task("lungs", total=None)
        cases = synthesise(
            folder,
            recipe,
            chests,
            models,
            lambda done, total: progress.update(task, completed=done, total=total),
            wanted=wanted,
        )
    out.print(f"cases: {cases}", markup=False)


def undescribed(cases: Sequence[Path]) -> list[str]:
    """Lines for the model card when nobody said what the cases are."""
    return [f"cases of {file.name}, not described" for file in cases]


def _command() -> str:
    """Command line that is running, for the model card."""
    return shlex.join(["dicom-node", *sys.argv[1:]])
