"""The command `doctor`: what disagrees, and what can be done about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from config.reader import load

app = typer.Typer()

Ini = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="DICOM_NODE_CONFIG", help="The INI file with the settings."
    ),
]
INI = Path("dicom-node.ini")


@app.command()
def doctor(
    mend: Annotated[
        bool, typer.Option("--mend", help="Do what is safe; the node must be stopped.")
    ] = False,
    config: Ini = INI,
) -> None:
    """Compare files, rows and deliveries; say what disagrees, and what can be done."""
    from dicom_node.analysis.rerun import store_of
    from dicom_node.folder_lock import only_node
    from dicom_node.maintenance import consistency as of

    settings = load(config)
    store = store_of(settings)
    if mend:
        with only_node(settings.storage.folder):
            of.mend(store)
    found = of.look(store)
    for each in found:
        detail = f" ({each.detail})" if each.detail else ""
        typer.echo(f"{each.kind}: {each.what}{detail}: {of.REMEDIES[each.kind]}")
    if not found:
        typer.echo("Files, rows and deliveries agree.")
    raise typer.Exit(1 if found else 0)
