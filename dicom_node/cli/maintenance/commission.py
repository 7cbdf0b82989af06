"""The command `commission`: one document for the acceptance of an installation."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from config.reader import load
from dicom_node.cli.options import INI, Ini, err, out
from dicom_node.cli.settings import os_user
from dicom_node.errors import NodeError

app = typer.Typer()


@app.command()
def commission(
    file: Annotated[Path, typer.Argument(help="The PDF that is written; it must be new.")],
    config: Ini = INI,
) -> None:
    """Write one PDF for the acceptance of an installation, with a line to sign.

    Every destination is called and asked what it takes, the running node tests itself, and the
    pictures of that are drawn. The PDF is written whatever comes of it.
    """
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.commission.document import write_document
    from dicom_node.commission.protocol import look

    if file.exists():
        raise NodeError(f"expected a new file, {file} is there")
    settings = load(config)
    with (
        closing(existing_resources(settings)) as resources,
        tempfile.TemporaryDirectory(prefix="commission-") as pictures,
    ):
        protocol = look(settings, resources, Path(pictures), os_user())
        write_document(protocol, file)
    for point in protocol.open_points:
        err.print(f"[bold red]open:[/] {escape(point)}")
    out.print(f"{file}: {len(protocol.open_points)} open", markup=False)
    raise typer.Exit(1 if protocol.open_points else 0)
