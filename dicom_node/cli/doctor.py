"""The commands `doctor` and `conformance`: check stored data and documents against each other."""

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
    force: Annotated[
        bool, typer.Option("--force", help="Mend however much disagrees, in whatever folder.")
    ] = False,
    config: Ini = INI,
) -> None:
    """Compare files, rows and deliveries; say what disagrees, and what can be done."""
    from dicom_node.assembly import existing_resources
    from dicom_node.folder_lock import only_node
    from dicom_node.maintenance.consistency import REMEDIES, find, repair

    settings = load(config)
    resources = existing_resources(settings, any_folder=force)
    if mend:
        with only_node(settings.storage.folder):
            repair(resources, force=force)
    findings = find(resources)
    for finding in findings:
        detail = f" ({finding.detail})" if finding.detail else ""
        typer.echo(f"{finding.kind}: {finding.what}{detail}: {REMEDIES[finding.kind]}")
    if not findings:
        typer.echo("Files, rows and deliveries agree.")
    raise typer.Exit(1 if findings else 0)


@app.command()
def conformance(
    document: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A statement in Markdown.")
    ],
) -> None:
    """Bring the marked parts of a conformance statement up to date, in place."""
    from dicom_node.maintenance.conformance_statement import fill

    document.write_text(fill(document.read_text(encoding="utf-8")), encoding="utf-8")
