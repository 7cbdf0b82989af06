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
from dicom_node.cli.options import INI, AsJson, Ini
from dicom_node.cli.views.json_text import json_text, print_outcome

if TYPE_CHECKING:
    from config.settings import Settings

LINES = 500  #: of each list of the status
WORDS = ("observer", "comment", "reason", "finding_name")  #: of an answer, which may name somebody

app = typer.Typer()


@app.command()
def support(
    file: Annotated[Path, typer.Argument(help="The zip file; it must be new.", dir_okay=False)],
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Pack settings, condition, findings, metrics and log, without patients, UIDs and secrets."""
    from dicom_node.maintenance.support_bundle import make_bundle

    parts = parts_of(load(config), datetime.now(UTC))
    faults = make_bundle(file, parts, to_json=json_text)
    lines = [f"{name}: {fault or 'packed'}" for name, fault in faults.items()]
    lines.append(f"{file}: look through it before you pass it on")
    print_outcome({"file": file, "parts": faults}, *lines, as_json=as_json)


def parts_of(settings: Settings, now: datetime) -> dict[str, Callable[[], object]]:
    """Name every part of a bundle, and what reads it."""
    from dicom_node.maintenance.support_bundle import parts_without_database
    from dicom_node.preflight.doubts import doubts

    return {
        **parts_without_database(settings, now),
        "doubts.json": lambda: list(doubts(settings)),
        "status.json": lambda: _status(settings, now),
        "tables.json": lambda: _tables(settings),
        "findings.json": lambda: _findings(settings),
        "metrics.txt": lambda: _metrics(settings),
    }


def _status(settings: Settings, now: datetime) -> dict[str, Any]:
    """Give the status without what strangers have written: names of files, and words of readers."""
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.maintenance.support_bundle import LEFT_OUT
    from dicom_node.node_status import read_status

    with closing(existing_resources(settings)) as resources:
        found = asdict(read_status(settings, resources.sessions, LINES, now))
    for line in found["quarantine"]:
        line["path"] = LEFT_OUT
    for line in found["series"]:
        for answer in line["answers"]:
            answer.update({name: LEFT_OUT for name in WORDS if answer[name]})
    return found


def _tables(settings: Settings) -> dict[str, int]:
    from dicom_node.assembly.resources import existing_resources
    from storage.standing import rows_of_tables

    with (
        closing(existing_resources(settings)) as resources,
        resources.sessions.reading() as session,
    ):
        return rows_of_tables(session)


def _findings(settings: Settings) -> list[dict[str, str]]:
    """Give what `doctor` finds, without the names of files in quarantine, as above."""
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.maintenance.consistency import find
    from dicom_node.maintenance.support_bundle import LEFT_OUT
    from storage.maintenance.consistency import Kind

    of_strangers = {Kind.QUARANTINE_MISSING, Kind.QUARANTINE_UNKNOWN}
    with closing(existing_resources(settings)) as resources:
        return [
            {
                "kind": str(one.kind),
                "what": LEFT_OUT if one.kind in of_strangers else one.what,
                "detail": one.detail,
            }
            for one in find(resources)
        ]


def _metrics(settings: Settings) -> str:
    from dicom_node.assembly.monitoring import metrics_text
    from dicom_node.assembly.resources import existing_resources

    with closing(existing_resources(settings)) as resources:
        return metrics_text(settings, resources)
