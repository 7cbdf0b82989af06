"""The command `support`: pack what helps to find a fault."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from config.reader import load
from dicom_node.cli.options import INI, Ini
from dicom_node.cli.views.json_text import json_text

app = typer.Typer()


@app.command()
def support(
    file: Annotated[Path, typer.Argument(help="The zip file; it must be new.", dir_okay=False)],
    config: Ini = INI,
) -> None:
    """Pack settings, condition, status and log into a file, without patients, UIDs and secrets."""
    from dicom_node.support_bundle import make_bundle

    faults = make_bundle(file, load(config), datetime.now(UTC), to_json=json_text)
    for name, fault in faults.items():
        typer.echo(f"{name}: {fault or 'packed'}")
    typer.echo(f"{file}: look through it before you pass it on")
