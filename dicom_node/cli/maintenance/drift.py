"""The commands `drift` and `drift accept`: scanners that have changed, and that it is known."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from config.reader import load
from dicom_node.cli.options import INI, AsJson, Ini, out
from dicom_node.cli.settings import os_user
from dicom_node.cli.views.json_text import json_text, print_outcome
from dicom_node.errors import NodeError, UsageError

app = typer.Typer(
    invoke_without_command=True, help="Scanners, and what of them has changed; accept a change."
)


@app.callback()
def drift(context: typer.Context, as_json: AsJson = False, config: Ini = INI) -> None:
    """List the scanners, how far their references are, and what nobody has accepted yet."""
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.drift.overview import scanner_lines

    if context.invoked_subcommand is not None:
        return
    settings = load(config)
    reference = settings.drift.reference_series
    with closing(existing_resources(settings)) as node, node.sessions.reading() as session:
        lines = scanner_lines(session, reference)
    if as_json:
        typer.echo(json_text(lines))
        return
    table = Table("scanner", "reference", "series after it", "changed, and not accepted")
    for line in lines:
        table.add_row(
            escape(line.scanner),
            f"{line.reference_series} of {reference}",
            str(line.series_after),
            escape("; ".join(change.text for change in line.changes)),
        )
    out.print(table)


@app.command()
def accept(
    scanner: Annotated[
        list[str] | None, typer.Argument(help="Names of scanners, as `dicom-node drift` has them.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Of every scanner with changes.")
    ] = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Accept what has changed of scanners: their references begin anew with their next series.

    Those that are named begin anew even where nothing has changed, as after another model.
    """
    from dicom_node import logs
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.audit.decisions import Decided, DecisionLog
    from dicom_node.clock_watch import utc_now
    from storage.results.drift import accept as accept_findings
    from storage.results.drift import findings_by_scanner, has_samples, open_findings

    if bool(scanner) == everything:
        raise UsageError("expected names of scanners, or --all")
    settings, who = load(config), os_user()
    logs.configure(level=settings.log.level, style=settings.log.format)
    decisions = DecisionLog(settings.storage.folder, utc_now)
    with closing(existing_resources(settings)) as resources:
        with resources.sessions.reading() as session:
            changed = findings_by_scanner(open_findings(session))
            chosen = sorted(changed) if everything else list(scanner or ())
            unknown = [
                name for name in chosen if name not in changed and not has_samples(session, name)
            ]
        if unknown:
            raise NodeError(f"nothing is known of {', '.join(unknown)}: see dicom-node drift")
        with resources.sessions.begin() as session:
            now = datetime.now(UTC)
            ended = {name: accept_findings(session, name, who, now) for name in chosen}
        for name in chosen:
            texts = [one.text for one in changed.get(name, ())]
            facts = {"scanner": name, "changes": texts}
            decisions.record(Decided.ACCEPTED, facts, by=f"{who} (command line)")
    lines = [f"{name}: {count} accepted" for name, count in ended.items()]
    print_outcome({"accepted": ended}, *lines, as_json=as_json)
    decisions.require_written()
