"""The command `shadow`: how a second model compares with the one in use, and if it may follow."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from config.reader import load
from dicom_node.cli.options import INI, AsJson, Ini, err, out
from dicom_node.cli.views.json_text import json_text
from pipeline.atomic_write import write_whole

if TYPE_CHECKING:
    from dicom_node.shadow.comparison import Comparison, Pair
    from dicom_node.shadow.overview import ShadowOverview
    from pipeline.metrics.paired import Agreement

app = typer.Typer()


@app.command()
def shadow(
    days: Annotated[int, typer.Option(min=1, max=36500, help="Of the latest so many days.")] = 365,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", help="Write every pair as well: results by their references."),
    ] = None,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Compare the second model ([shadow] model) with the one in use, on the same series.

    Exit status 0 if it has passed every condition of the gate, else 1.
    """
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.shadow.overview import NO_SECOND, shadow_overview

    settings, now = load(config), datetime.now(UTC)
    if settings.shadow.model is None:
        if as_json:
            typer.echo(json_text({"is_passed": False, "reason": NO_SECOND}))
        else:
            err.print(escape(NO_SECOND))
        raise typer.Exit(1)
    with closing(existing_resources(settings)) as node, node.sessions.reading() as session:
        found = shadow_overview(settings, session, now - timedelta(days=days), now)
    if csv_file is not None:
        write_whole(csv_file, _as_csv(found.pairs).encode())
    if as_json:
        typer.echo(json_text(found))
    else:
        _show(found)
    raise typer.Exit(0 if found.is_passed else 1)


def _as_csv(pairs: tuple[Pair, ...]) -> str:
    """Write the pairs as a table; what leads to the series is left out, as it names it."""
    from dicom_node.shadow.comparison import Pair as Row

    names = [one.name for one in fields(Row) if one.name != "page"]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    for pair in pairs:
        writer.writerow([_plain(getattr(pair, name)) for name in names])
    return stream.getvalue()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return int(value) if isinstance(value, bool) else value


def _show(found: ShadowOverview) -> None:
    """Print the comparison, and the gate."""
    compared = found.comparison
    out.print(f"in use: {escape(found.first)}; second: {escape(found.second)}", highlight=False)
    out.print(
        f"{compared.series} series compared, {compared.patients} patients counted (one series of"
        f" each); {found.waiting} series wait",
        highlight=False,
    )
    for line in _lines(compared):
        out.print(escape(line), highlight=False)
    _show_cases(compared.differing)
    for one in found.conditions:
        mark = "[green]met[/]" if one.is_met else "[red]not met[/]"
        out.print(f"{mark}: {escape(one.what)}: {escape(one.found)}", highlight=False)
    verdict = "[green]passed[/]" if found.is_passed else "[red]not passed[/]"
    out.print(f"gate: {verdict}", highlight=False)


def _lines(compared: Comparison) -> Iterator[str]:
    differences = (
        ("score", compared.score),
        ("opacities, ml", compared.opacities_ml),
        ("lungs, ml", compared.lungs_ml),
    )
    for name, agreement in differences:
        if agreement is not None:
            yield f"{name}, second less first: {_agreement(agreement)}"
    for pair, count in compared.answers.items():
        first, _, second = pair.partition("/")
        yield f"first {first}, second {second}: {count} patients"
    above = compared.above
    yield (
        f"above by the first alone {above.only_first}, by the second alone {above.only_second}"
        f" (McNemar, exact: p = {above.p_value:.3g})"
    )
    if compared.area is None:
        yield (
            f"truth known of {compared.positives} patients with the disease and"
            f" {compared.negatives} without: too few for areas under the ROC curve"
        )
        return
    area, smaller = compared.area, compared.area.difference
    yield (
        f"area under the ROC curve {area.auc_a:.3f} and {area.auc_b:.3f}, second less first"
        f" {-smaller.value:+.3f} ({-smaller.high:+.3f} to {-smaller.low:+.3f}; DeLong, p ="
        f" {area.p_value:.3g}), {compared.positives} patients with the disease and"
        f" {compared.negatives} without, {compared.by_diagnosis} by a final diagnosis"
    )


def _agreement(one: Agreement) -> str:
    bias, lower, upper = one.bias, one.lower, one.upper
    if bias.why_unknown:
        return f"mean {bias.value:+.3f} ({bias.why_unknown}), {one.cases} patients"
    return (
        f"mean {bias.value:+.3f} ({bias.low:+.3f} to {bias.high:+.3f}), limits of agreement"
        f" {lower.value:+.3f} ({lower.low:+.3f} to {lower.high:+.3f}) and {upper.value:+.3f}"
        f" ({upper.low:+.3f} to {upper.high:+.3f}), {one.cases} patients"
    )


def _show_cases(pairs: tuple[Pair, ...]) -> None:
    if not pairs:
        return
    out.print("series that differ most: first, second, truth, page of the console")
    for pair in pairs:
        second = pair.reason if pair.second is None else f"{pair.second:.3f} {pair.second_answer}"
        truth = {True: "disease", False: "no disease", None: "not known"}[pair.is_positive]
        words = (f"{pair.first:.3f} {pair.first_answer}", second, truth, pair.page)
        out.print(f"  {pair.reference}: {escape(', '.join(words))}", highlight=False)
