"""Command that measures how far a model's scores move when a scan changes harmlessly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.cli.options import CaseList, Device, bar, needs_extra, out
from dicom_node.errors import NodeError
from pipeline.model.manifest import BUNDLED

if TYPE_CHECKING:  # the command line starts without torch
    from pipeline.evaluation.stability import Spread

SCORES, TABLE, PLOT = "stability.csv", "stability.md", "stability.png"

app = typer.Typer()


@app.command()
def stability(
    cases: CaseList,
    out_folder: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Where table, scores and plot go.")
    ],
    model: Annotated[Path, typer.Option(help="Model folder.")] = BUNDLED,
    at_most: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SD",
            help="End with status 1 if the scores of a case deviate more, or if its answers"
            " range from below to above.",
        ),
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option(help="Only this change; may be repeated. Without: all.")
    ] = None,
    device: Device = Device.auto,
) -> None:
    """Measure how far scores move when scans change harmlessly: kernel, spacing, mask and so on.

    Cases are named by the last parts of their paths. They need no labels.
    """
    needs_extra()
    from pipeline.atomic_write import write_whole
    from pipeline.cases.case_list import read_cases
    from pipeline.evaluation.stability import (
        ChangedScore,
        changed_scores,
        changes,
        names_of,
        spreads,
    )
    from pipeline.evaluation.stability_report import plot, table, write_scores
    from pipeline.model.loading import device_for, load

    known = [one.name for one in changes(0.0)]
    if unknown := sorted(set(change or ()) - set(known)):
        raise NodeError(f"changes of {', '.join(known)} expected, got {', '.join(unknown)}")
    listed = read_cases(*cases, labelled=False)
    models = load(model, device_for(device.value))
    out_folder.mkdir(parents=True, exist_ok=True)
    scores: list[ChangedScore] = []
    with bar() as progress:
        task = progress.add_task("cases", total=len(listed))
        for case, name in zip(listed, names_of(listed), strict=True):
            scores += changed_scores(case, name, models, change or ())
            write_scores(out_folder / SCORES, scores)
            progress.advance(task)
    conformal = models.manifest.conformal
    bounds = conformal.levels[0].indeterminate if conformal else ()
    write_whole(out_folder / TABLE, table(scores).encode())
    write_whole(out_folder / PLOT, plot(scores, bounds))
    found = spreads(scores)
    for one in found:
        words = f"{one.case}: {one.as_it_came:.3f}, standard deviation {one.deviation:.3f}"
        out.print(f"{words}, {one.low:.3f} to {one.high:.3f}: {', '.join(one.answers)}")
    out.print(f"table, scores and plot: {out_folder}")
    if at_most is not None:
        _hold(found, at_most)


def _hold(found: Sequence[Spread], at_most: float) -> None:
    """Refuse scores that deviate more, and answers that range from below to above.

    Raises
    ------
    NodeError
        If there are some.
    """
    loose = [one.case for one in found if one.deviation > at_most]
    torn = [one.case for one in found if one.changes_side]
    if loose or torn:
        raise NodeError(
            f"expected a standard deviation of at most {at_most:g} and no answers from below to"
            f" above; more deviate: {', '.join(loose) or 'none'};"
            f" change sides: {', '.join(torn) or 'none'}"
        )
