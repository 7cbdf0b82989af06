"""The command line for model folders: import, verify, show, list."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Look at, check and import model folders.")
