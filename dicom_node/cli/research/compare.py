"""Command that compares classifiers: the paper's Tables III and IV."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markdown import Markdown

from dicom_node.cli.options import (
    Base,
    CaseList,
    Columns,
    Device,
    Masks,
    Pairs,
    Rows,
    RunFolder,
    Seed,
    SliceMm,
    Steps,
    bar,
    needs_extra,
    out,
)
from dicom_node.cli.research.train import training_of
from dicom_node.errors import UsageError
from pipeline.model.manifest import BUNDLED

VALIDATIONS = 5  #: of each training

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
    pairs: Pairs = 1,
    masks: Masks = True,
    rows: Rows = 112,
    columns: Columns = 168,
    slice_mm: SliceMm = 4.0,
    device: Device = Device.auto,
    model: Base = BUNDLED,
) -> None:
    """Train and test classifiers alike: size, time, AUC and accuracy, beside the paper's."""
    needs_extra()
    from pipeline.model.loading import device_for, load
    from pipeline.training.classifiers import CLASSIFIERS
    from pipeline.training.compare import TABLES
    from pipeline.training.compare import compare as compare_all
    from pipeline.training.fit import Schedule
    from pipeline.training.histograms import BASELINES

    known = [*BASELINES, *CLASSIFIERS]
    unknown = sorted(set(network or ()) - set(known))
    if unknown:
        raise UsageError(f"classifiers of {', '.join(known)} expected, got {', '.join(unknown)}")
    training = training_of(
        "decovnet",  # replaced by each in its turn
        Schedule(steps=steps, validate_every=max(1, steps // VALIDATIONS)),
        seed=seed,
        pairs=pairs,
        masks=masks,
        rows=rows,
        columns=columns,
        slice_mm=slice_mm,
    )
    with bar() as progress:
        task = progress.add_task("preparing", total=steps)

        def report(name: str, done: int, text: str) -> None:
            progress.update(task, completed=done, description=f"{name}: {text}")

        models = load(model, device_for(device.value))
        compare_all(cases, run, network or known, training, models, report=report)
    out.print(Markdown((run / TABLES).read_text(encoding="utf-8")))
