"""The command `agreement`: results against signed reports, of each scanner and month."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from config.reader import load
from dicom_node.cli.options import INI, AsJson, Ini, out
from dicom_node.cli.views.json_text import json_text

if TYPE_CHECKING:
    from dicom_node.governance.agreement import Agreement, AgreementLine
    from pipeline.metrics.statistics import Estimate

app = typer.Typer()
MOST_SHOWN = 50  #: disagreements; all of them are in the JSON and in the CSV


@app.command()
def agreement(
    days: Annotated[
        int, typer.Option(min=1, max=36500, help="Reports received in so many days until now.")
    ] = 365,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write a line for each report that is compared.")
    ] = None,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Compare results with signed reports, by scanner and month; list where they disagree."""
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.governance.agreement import agreement as compare
    from dicom_node.governance.agreement import as_csv, comparisons
    from pipeline.atomic_write import write_whole
    from storage.results.signed_reports import reports_since

    since = datetime.now(UTC) - timedelta(days=days)
    with closing(existing_resources(load(config))) as node, node.sessions.reading() as session:
        reported = reports_since(session, since)
    found = compare(reported)
    if csv is not None:
        write_whole(csv, as_csv(comparisons(reported)).encode())
    if as_json:
        typer.echo(json_text(found))
    elif csv is not None:
        typer.echo(f"{found.lines[0].reports} reports in {csv}")
    else:
        _show(found)


def _show(found: Agreement) -> None:
    table = Table(
        "month", "scanner", "reports", "unclear", "indet.", "agree (95 %)", "kappa (95 %)"
    )
    for line in found.lines:
        table.add_row(*_cells(line))
    out.print(table)
    if found.of_other_patients:
        out.print(f"{found.of_other_patients} reports name another patient than the images.")
    for one in found.disagreements[:MOST_SHOWN]:
        words = (
            f"{one.reported_at.astimezone():%Y-%m-%d}  report {one.reference}: {one.report}"
            f" (COVID-19 {one.covid_19}, pneumonia {one.pneumonia}); result: {one.result},"
            f" {one.score:.2f}; {one.series_instance_uid}"
        )
        out.print(escape("".join(char if char.isprintable() else "?" for char in words)))
    if len(found.disagreements) > MOST_SHOWN:
        out.print(f"... and {len(found.disagreements) - MOST_SHOWN} more: --json, --csv")


def _cells(line: AgreementLine) -> tuple[str, ...]:
    share, kappa = line.share, line.kappa
    agree = "" if share is None else f"{share.count} of {share.total}: {_figure(share)}"
    return (
        line.month or "all",
        escape(line.scanner) if line.month else "",
        str(line.reports),
        str(line.unclear),
        str(line.indeterminate),
        agree,
        "" if kappa is None else _figure(kappa),
    )


def _figure(estimate: Estimate) -> str:
    if estimate.why_unknown:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
