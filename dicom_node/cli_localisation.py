"""The command line for those who judge where the lesions are."""

from __future__ import annotations

import typer

app = typer.Typer()
