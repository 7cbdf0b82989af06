"""The command `support`: pack what helps to find a fault."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.reader import load
from dicom_node.cli.options import INI, Ini
from dicom_node.cli.views.json_text import json_text

if TYPE_CHECKING:
    from config.settings import Settings

LINES = 500  #: of each list of the status

app = typer.Typer()


@app.command()
def support(
    file: Annotated[Path, typer.Argument(help="The zip file; it must be new.", dir_okay=False)],
    config: Ini = INI,
) -> None:
    """Pack settings, condition, status and log into a file, without patients, UIDs and secrets."""
    from dicom_node.maintenance.support_bundle import make_bundle

    parts = parts_of(load(config), datetime.now(UTC))
    for name, fault in make_bundle(file, parts, to_json=json_text).items():
        typer.echo(f"{name}: {fault or 'packed'}")
    typer.echo(f"{file}: look through it before you pass it on")


def parts_of(settings: Settings, now: datetime) -> dict[str, Callable[[], object]]:
    """Name every part of a bundle, and what reads it."""
    from dicom_node.maintenance.support_bundle import parts_without_database
    from dicom_node.preflight import doubts

    return {
        **parts_without_database(settings, now),
        "doubts.json": lambda: list(doubts(settings)),
        "status.json": lambda: _status(settings, now),
        "tables.json": lambda: _tables(settings),
    }


def _status(settings: Settings, now: datetime) -> dict[str, Any]:
    """Give the status without the paths of files in quarantine: strangers have named them."""
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.maintenance.support_bundle import LEFT_OUT
    from dicom_node.node_status import read_status

    with closing(existing_resources(settings)) as resources:
        found = asdict(read_status(settings, resources.sessions, LINES, now))
    for line in found["quarantine"]:
        line["path"] = LEFT_OUT
    return found


def _tables(settings: Settings) -> dict[str, int]:
    from dicom_node.assembly.resources import existing_resources
    from storage.standing import rows_of_tables

    with (
        closing(existing_resources(settings)) as resources,
        resources.sessions.reading() as session,
    ):
        return rows_of_tables(session)
