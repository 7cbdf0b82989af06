"""The command line for those who compare classifiers: the paper's Tables III and IV."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markdown import Markdown

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
from pipeline.model.manifest import BUNDLED

app = typer.Typer()


@app.command()
def compare(
    cases: CaseList,
    run: RunFolder,
    network: Annotated[
        list[str] | None, typer.Option(help="Which classifiers; may be repeated. Without: all.")
    ] = None,
    seed: Seed = 1,
    steps: Steps = 1000,
    pairs: Annotated[int, typer.Option(min=1, help="Positive and negative cases a step.")] = 1,
    masks: Annotated[bool, typer.Option(help="Learn from lesion masks where known.")] = True,
    rows: Annotated[int, typer.Option(min=32, help="Rows of the networks' input.")] = 112,
    columns: Annotated[int, typer.Option(min=48, help="Columns of the networks' input.")] = 168,
    slice_mm: Annotated[float, typer.Option(min=0.5, help="Distance of its planes.")] = 4.0,
    device: Device = Device.auto,
    model: Base = BUNDLED,
) -> None:
    """Train and test classifiers alike: size, time, AUC and accuracy, beside the paper's."""
    needs_extra()
    from pipeline.model.loading import device_for, load
    from pipeline.model.manifest import ClassifierInput
    from pipeline.training.classifiers import CLASSIFIERS
    from pipeline.training.compare import TABLES
    from pipeline.training.compare import compare as compare_all
    from pipeline.training.fit import Schedule
    from pipeline.training.histograms import BASELINES
    from pipeline.training.train_classifier import ClassifierTraining

    known = [*BASELINES, *CLASSIFIERS]
    unknown = sorted(set(network or ()) - set(known))
    if unknown:
        raise NodeError(f"classifiers of {', '.join(known)} expected, got {', '.join(unknown)}")
    training = ClassifierTraining(
        network="decovnet",
        seed=seed,
        wanted=ClassifierInput(
            rows=rows, columns=columns, slice_mm=slice_mm, window_hu=(-1200, 600), margin_mm=5.0
        ),
        schedule=Schedule(steps=steps, judge_every=max(1, steps // 5)),
        pairs=pairs,
        masks=masks,
    )
    with bar() as progress:
        task = progress.add_task("preparing", total=steps)

        def report(name: str, done: int, text: str) -> None:
            progress.update(task, completed=done, description=f"{name}: {text}")

        compare_all(
            cases,
            run,
            network or known,
            training,
            load(model, device_for(device.value)),
            report=report,
        )
    out.print(Markdown((run / TABLES).read_text(encoding="utf-8")))
