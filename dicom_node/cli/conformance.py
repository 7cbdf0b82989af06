"""The command `conformance`: the statement, with the parts that the code can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def conformance(
    document: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A statement in Markdown.")
    ],
) -> None:
    """Bring the marked parts of a conformance statement up to date, in place."""
    from dicom_node.maintenance.conformance_statement import fill

    document.write_text(fill(document.read_text(encoding="utf-8")), encoding="utf-8")
