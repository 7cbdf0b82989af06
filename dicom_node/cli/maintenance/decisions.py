"""The commands `decisions`: list what was decided, and verify that nothing was changed since."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from config.reader import load
from dicom_node.cli.options import DAY, INI, AsJson, Ini, day_of
from dicom_node.cli.views.json_text import json_text
from dicom_node.errors import UsageError
from storage.files.decision_log import BEGINNING, Head, read_decisions
from storage.files.decision_log import verify as verify_log

app = typer.Typer(no_args_is_help=True, help="What was decided: settings, results, what was sent.")


@app.command(name="list")
def list_all(
    since: Annotated[
        str | None, typer.Option(metavar=DAY, help="Only those of that day or later.")
    ] = None,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """List decisions, the first first; no patient is named, a result by its reference."""
    begin = day_of(since, datetime.now().astimezone())[0] if since else None
    found = [
        one
        for one in read_decisions(load(config).storage.folder)
        if begin is None or one.at >= begin
    ]
    if as_json:
        typer.echo(json_text([asdict(one) for one in found]))
        return
    for one in found:
        facts = ", ".join(f"{name}: {value}" for name, value in one.facts.items())
        typer.echo(
            f"{one.number} {one.at.astimezone():%Y-%m-%d %H:%M:%S} {one.what} by {one.by}: {facts}"
        )


@app.command()
def verify(
    head: Annotated[
        str, typer.Option(help="NUMBER:DIGEST that was noted earlier, as this command prints it.")
    ] = "",
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Verify that every decision is as it was written; note the head to see that none was cut off.

    Exit status 1 if one is not.
    """
    noted = _head(head) if head else None
    found = verify_log(load(config).storage.folder, noted)
    if as_json:
        typer.echo(json_text({"head": str(found.head), "fault": found.fault}))
    else:
        typer.echo(found.fault or f"{found.head.number} decisions, as they were written")
        typer.echo(f"head {found.head}")
    if found.fault:
        raise typer.Exit(1)


def _head(text: str) -> Head:
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != len(BEGINNING):
        raise UsageError(
            f"--head: expected NUMBER:DIGEST, as `decisions verify` prints it, got {text}"
        )
    return Head(number=int(number), digest=digest)
