"""The command line for those who train: make synthetic cases, train a network."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dicom_node.cli.options import (
    Base,
    CaseList,
    Device,
    RunFolder,
    Seed,
    Steps,
    bar,
    needs_extra,
    out,
)
from dicom_node.errors import NodeError
from pipeline.model.manifest import BUNDLED, UNET_STRIDE

app = typer.Typer(no_args_is_help=True, help="Train a network on your own cases.")
synthesis = typer.Typer()


class Precision(StrEnum):
    """Arithmetic of the training; bf16 is automatic mixed precision."""

    fp32 = "fp32"
    bf16 = "bf16"


def undescribed(cases: Sequence[Path]) -> list[str]:
    """Lines for the model card when nobody said what the cases are."""
    return [f"cases of {each.name}, not described" for each in cases]


@app.command("classifier")
def classifier(
    cases: CaseList,
    run: RunFolder,
    network: Annotated[str, typer.Option(help="Which classifier.")] = "evidence-net",
    seed: Seed = 1,
    steps: Steps = 3000,
    judge_every: Annotated[int, typer.Option(min=1, help="Steps between judgements.")] = 250,
    patience: Annotated[int, typer.Option(min=1, help="Judgements without gain.")] = 8,
    rate: Annotated[float, typer.Option(min=0, help="Highest learning rate.")] = 1e-3,
    pairs: Annotated[int, typer.Option(min=1, help="Positive and negative cases a step.")] = 2,
    masks: Annotated[bool, typer.Option(help="Learn from lesion masks where known.")] = True,
    rows: Annotated[int, typer.Option(min=32, help="Rows of the network's input.")] = 112,
    columns: Annotated[int, typer.Option(min=48, help="Columns of the network's input.")] = 168,
    slice_mm: Annotated[float, typer.Option(min=0.5, help="Distance of its planes.")] = 4.0,
    start: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Weights of this network to begin with."),
    ] = None,
    precision: Precision = Precision.fp32,
    device: Device = Device.auto,
    workers: Annotated[int, typer.Option(min=1, help="Threads that draw cases.")] = 1,
    model: Base = BUNDLED,
    source: Annotated[
        list[str] | None,
        typer.Option(help="What the cases are, in words, for the model card; may be repeated."),
    ] = None,
) -> None:
    """Train a classifier: weights, checkpoint, curves, scores of validation and test cases.

    Of a network that the node can run, a model folder is made as well, for `dicom-node calibrate`.
    """
    needs_extra()
    from pipeline.model.loading import device_for, load
    from pipeline.model.manifest import ClassifierInput
    from pipeline.training.classifiers import CLASSIFIERS, DEPLOYABLE
    from pipeline.training.fit import Schedule
    from pipeline.training.model_folder import Trained, build, figures_of, write_model
    from pipeline.training.train_classifier import ClassifierTraining, train_classifier

    if network not in CLASSIFIERS:
        raise NodeError(f"a network of {', '.join(CLASSIFIERS)} expected, got {network}")
    schedule = Schedule(
        steps=steps,
        judge_every=judge_every,
        patience=patience,
        peak_rate=rate,
        precision=precision,
        workers=workers,
    )
    wanted = ClassifierInput(
        rows=rows, columns=columns, slice_mm=slice_mm, window_hu=(-1200, 600), margin_mm=5.0
    )
    training = ClassifierTraining(
        network=network,
        seed=seed,
        wanted=wanted,
        schedule=schedule,
        pairs=pairs,
        masks=masks,
        start=start,
    )
    with bar() as progress:
        task = progress.add_task("preparing", total=steps)
        weights = train_classifier(
            cases,
            run,
            training,
            load(model, device_for(device.value)),
            report=lambda done, text: progress.update(task, completed=done, description=text),
        )
    out.print(f"weights: {weights}")
    for unscored in sorted(run.glob("*-unscored.txt")):
        out.print(f"[yellow]cases without a score[/], and why: {escape(str(unscored))}")
    if network in DEPLOYABLE:
        scores = run / "validation-scores.csv"
        trained = Trained(
            network=network,
            weights=weights,
            wanted=wanted,
            trained_on=source or undescribed(cases),
            reproduce=shlex.join(["dicom-node", *sys.argv[1:]]),
            metrics=figures_of(scores),
        )
        name = run.resolve().name
        made = build(
            run / "model",
            lambda folder: write_model(folder, model, trained, name=name, version="1"),
        )
        hint = f"calibrate it with {scores}" if made else "it was there, and is left as it was"
        out.print(f"model: {run / 'model'} ({hint})", highlight=False)


@app.command("lungs")
def lungs(
    cases: CaseList,
    run: RunFolder,
    seed: Seed = 1,
    steps: Steps = 1500,
    judge_every: Annotated[int, typer.Option(min=1, help="Steps between judgements.")] = 100,
    patience: Annotated[int, typer.Option(min=1, help="Judgements without gain.")] = 5,
    rate: Annotated[float, typer.Option(min=0, help="Highest learning rate.")] = 2e-3,
    size: Annotated[int, typer.Option(min=64, help="Rows and columns, a multiple of 16.")] = 192,
    batch: Annotated[int, typer.Option(min=1, help="Slices a step.")] = 8,
    phantoms: Annotated[int, typer.Option(min=0, help="Phantoms to learn from.")] = 40,
    held_out: Annotated[int, typer.Option(min=0, help="Phantoms to judge on.")] = 6,
    precision: Precision = Precision.fp32,
    device: Device = Device.auto,
    model: Annotated[Path, typer.Option("--model", help="It gives the classifier.")] = BUNDLED,
    source: Annotated[
        list[str] | None,
        typer.Option(help="What the cases are, in words, for the model card; may be repeated."),
    ] = None,
) -> None:
    """Train the UNet that finds the lungs; the run folder holds a model folder in the end."""
    needs_extra()
    from pipeline.model.loading import device_for
    from pipeline.training.fit import Schedule
    from pipeline.training.train_lungs import LungTraining, Origin, train_lungs

    there = (run / "model").exists()

    if size % UNET_STRIDE:
        raise NodeError(f"a size that is a multiple of {UNET_STRIDE} expected, got {size}")
    training = LungTraining(
        seed=seed,
        schedule=Schedule(
            steps=steps,
            judge_every=judge_every,
            patience=patience,
            peak_rate=rate,
            precision=precision,
        ),
        size=size,
        batch=batch,
        phantoms=phantoms,
        held_out_phantoms=held_out,
    )
    with bar() as progress:
        task = progress.add_task("preparing", total=steps)
        folder = train_lungs(
            cases,
            run,
            training,
            origin=Origin(
                base=model,
                trained_on=source or undescribed(cases),
                reproduce=shlex.join(["dicom-node", *sys.argv[1:]]),
            ),
            device=device_for(device.value),
            report=lambda done, text: progress.update(task, completed=done, description=text),
        )
    out.print(f"model: {folder}{' (it was there, and is left as it was)' if there else ''}")


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
    with bar() as progress:
        task = progress.add_task("lungs", total=None)
        cases = synthesise(
            folder,
            recipe,
            chests,
            load(model, device_for("auto")),
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    out.print(f"cases: {cases}")
