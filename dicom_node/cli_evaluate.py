"""The command line for those who judge a classifier: evaluate, calibrate."""

from __future__ import annotations

import typer

app = typer.Typer()
