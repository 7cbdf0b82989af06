"""The command `doctor`: what disagrees, and what can be done about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from config.reader import load
from dicom_node.cli.options import INI, Ini

app = typer.Typer()


@app.command()
def doctor(
    mend: Annotated[
        bool, typer.Option("--mend", help="Do what is safe; the node must be stopped.")
    ] = False,
    config: Ini = INI,
) -> None:
    """Compare files, rows and deliveries; say what disagrees, and what can be done."""
    from dicom_node.assembly import existing_resources
    from dicom_node.folder_lock import only_node
    from dicom_node.maintenance import consistency as of

    settings = load(config)
    resources = existing_resources(settings)
    if mend:
        with only_node(settings.storage.folder):
            of.repair(resources)
    found = of.find(resources)
    for each in found:
        detail = f" ({each.detail})" if each.detail else ""
        typer.echo(f"{each.kind}: {each.what}{detail}: {of.REMEDIES[each.kind]}")
    if not found:
        typer.echo("Files, rows and deliveries agree.")
    raise typer.Exit(1 if found else 0)


@app.command()
def conformance(
    document: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A statement in Markdown.")
    ],
) -> None:
    """Bring the marked parts of a conformance statement up to date, in place."""
    from dicom_node.maintenance.conformance_statement import fill

    document.write_text(fill(document.read_text(encoding="utf-8")), encoding="utf-8")
