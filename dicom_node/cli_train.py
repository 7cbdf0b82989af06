"""The command line for those who train: synthesise a data set, train, compare."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Train a network on your own cases.")
