"""The commands `export`, `erase` and `reinject`: copy, remove or re-ingest stored data."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.reader import load
from config.settings import Settings
from dicom_node.cli.options import INI, AsJson, Ini
from dicom_node.cli.views.json_text import print_outcome
from dicom_node.errors import NodeError, UsageError

if TYPE_CHECKING:
    from dicom_node.resources import Resources

app = typer.Typer()

OneSeries = Annotated[str | None, typer.Option("--series", help="Series Instance UID.")]
OneStudy = Annotated[str | None, typer.Option("--study", help="Study Instance UID: all series.")]


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="An empty folder, or a new one.")],
    series: OneSeries = None,
    study: OneStudy = None,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Copy the instances and results that are kept, as DICOM files with the patient's data."""
    from dicom_node.maintenance.stored_data import chosen
    from dicom_node.maintenance.stored_data import export as copy

    _require_one(series, study)
    with closing(_resources(_audited(config))) as resources:
        uids = chosen(resources, series, study)
        copied = copy(resources, uids, folder)
    facts = {"folder": folder, "files": copied, "series": uids}
    print_outcome(facts, f"{copied} files in {folder}", as_json=as_json)


@app.command()
def erase(
    series: OneSeries = None,
    study: OneStudy = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; else only say what.")] = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Remove instances, results and rows for good; the node must be stopped."""
    from dicom_node.audit.decisions import DecisionLog
    from dicom_node.cli.settings import os_user
    from dicom_node.clock_watch import utc_now
    from dicom_node.database_lease import holding
    from dicom_node.folder_lock import only_node
    from dicom_node.maintenance.stored_data import chosen
    from dicom_node.maintenance.stored_data import erase as remove

    _require_one(series, study)
    settings = _audited(config)
    decisions = DecisionLog(settings.storage.folder, utc_now)
    with closing(replace(_resources(settings), decisions=decisions)) as resources:
        uids = chosen(resources, series, study)
        if not yes:
            raise NodeError(f"would erase {', '.join(uids)}: say --yes to do it")
        with only_node(settings.storage.folder), holding(resources):
            remove(resources, uids, by=f"{os_user()} (command line)")
    words = f"{len(uids)} series erased here; what was sent elsewhere is there still."
    print_outcome({"series": uids}, words, as_json=as_json)
    decisions.require_written()


@app.command()
def reinject(
    files: Annotated[list[str] | None, typer.Argument(help="Files in quarantine.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every file.")] = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Have files in quarantine read once more; the node must be stopped."""
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.database_lease import holding
    from dicom_node.folder_lock import only_node
    from dicom_node.maintenance.stored_data import reinject as put_back

    if bool(files) == everything:
        raise UsageError("expected names of files in quarantine, or --all")
    settings = _audited(config)
    resources = existing_resources(settings)
    with only_node(settings.storage.folder), holding(resources):
        count = put_back(resources, files)
    words = f"{count} files read once more; `dicom-node status` shows what came of it."
    print_outcome({"files": count}, words, as_json=as_json)


def _require_one(series: str | None, study: str | None) -> None:
    if (series is None) == (study is None):
        raise UsageError("expected --series UID or --study UID")


def _resources(settings: Settings) -> Resources:
    """Open the database and folder of a node, with its audit trail."""
    from dicom_node.assembly.resources import audit_of, existing_resources

    return replace(existing_resources(settings), audit=audit_of(settings))


def _audited(config: Path) -> Settings:
    """Read the settings, and log from now on as the node does."""
    from dicom_node import logs

    settings = load(config)
    logs.configure(level=settings.log.level, style=settings.log.format)
    return settings
