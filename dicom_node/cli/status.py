"""Commands that say how the node fares: `status` and `ready`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from config.errors import SettingsError
from config.reader import load, load_storage
from config.settings import Settings
from dicom_node.cli.options import INI, AsJson, Ini, err, out
from dicom_node.cli.views.json_text import json_text
from dicom_node.errors import UsageError

app = typer.Typer()


@app.command()
def status(
    config: Ini = INI,
    limit: Annotated[int, typer.Option(min=0, help="How many lines of each list.")] = 50,
    as_json: AsJson = False,
    stages: Annotated[
        bool,
        typer.Option(
            "--stages", help="Show instead what is busy and what waits, and what holds it up."
        ),
    ] = False,
    waiting: Annotated[
        bool,
        typer.Option(
            "--waiting",
            help="Show instead, by sender, how long series waited until they were closed, and by"
            " which proof.",
        ),
    ] = False,
    console: Annotated[
        str,
        typer.Option(
            help="Ask the console at this address instead; the INI file and the storage folder are"
            " not needed."
        ),
    ] = "",
    token_file: Annotated[
        Path | None, typer.Option(help="File with a token for the console (dicom-node token).")
    ] = None,
    authorities: Annotated[
        Path | None,
        typer.Option(help="Certificates (PEM) of who signs the console's; else the machine's."),
    ] = None,
) -> None:
    """Show every series and where it stands, deliveries, answers, refusals and the quarantine."""
    if bool(console) != bool(token_file) or (authorities and not console):
        raise UsageError("expected --console and --token-file together")
    if stages and (waiting or console):
        raise UsageError("expected --stages alone, without --waiting and --console")
    if stages:
        _show_stages(_settings_of(config), as_json=as_json)
    elif console and token_file:
        _show_of_console(
            console, token_file, authorities, limit=limit, as_json=as_json, waiting=waiting
        )
    elif waiting:
        _show_waits(_settings_of(config), as_json=as_json)
    else:
        _show_status(_settings_of(config), limit=limit, as_json=as_json)


def _show_status(settings: Settings, *, limit: int, as_json: bool) -> None:
    """Show the status of the node that has these settings."""
    from dicom_node.cli.views import status as view
    from dicom_node.folder_lock import is_running
    from dicom_node.health import read_condition
    from dicom_node.node_status import read_status
    from storage.database.engine import open_database, require_migrated
    from storage.database.sessions import Sessions

    folder, now = settings.storage.folder, datetime.now(UTC)
    if not as_json:  # before the database, which may be away
        view.show_condition(read_condition(folder), out, now, running=is_running(folder))
    database = open_database(settings.database_url)
    require_migrated(database)
    found = read_status(settings, Sessions(database), limit, now)
    if as_json:
        typer.echo(view.as_json(found))
    else:
        view.show(found.overview, found.disk, out, answers=found.answers, paused=found.paused)
        view.show_receivers(found.receivers, out)


def _show_of_console(
    url: str,
    token_file: Path,
    authorities: Path | None,
    *,
    limit: int,
    as_json: bool,
    waiting: bool,
) -> None:
    """Show the same, as a console elsewhere tells it."""
    from dicom_node.cli.views import status as view
    from dicom_node.cli.views import waiting as waiting_view
    from dicom_node.console.api.client import ConsoleClient

    client = ConsoleClient(url, token_file, authorities)
    if waiting:
        lines = client.waits().senders
        if as_json:
            typer.echo(waiting_view.as_json(lines))
        else:
            waiting_view.show(lines, out)
        return
    found = client.status(limit)
    if as_json:
        typer.echo(view.as_json(found))
    else:
        view.show_condition(found.condition, out, found.at, running=found.running)
        view.show(found.overview, found.disk, out, answers=found.answers, paused=found.paused)
        view.show_receivers(found.receivers, out)


def _show_waits(settings: Settings, *, as_json: bool) -> None:
    """Show what waiting for the end of series has cost."""
    from dicom_node.cli.views import waiting as view
    from storage.database.engine import open_database, require_migrated
    from storage.database.sessions import Sessions
    from storage.series.closings import waits

    database = open_database(settings.database_url)
    require_migrated(database)
    with Sessions(database).reading() as session:
        lines = waits(session, datetime.now(UTC) - timedelta(days=view.DAYS))
    if as_json:
        typer.echo(view.as_json(lines))
    else:
        view.show(lines, out)


def _show_stages(settings: Settings, *, as_json: bool) -> None:
    """Show what is busy and what waits, stage by stage and worker by worker."""
    from contextlib import closing

    from dicom_node.analysis.oversight.permission import Oversight
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.cli.views import stages as view
    from dicom_node.folder_lock import is_running
    from dicom_node.health import read_condition, why_silent
    from storage.console.node_pages import backlog, held_deliveries, queue, waited_for
    from storage.delivery.pauses import pauses

    folder, now = settings.storage.folder, datetime.now(UTC)
    running = is_running(folder)
    condition = read_condition(folder) if running else None
    silence = why_silent(condition, now, running=running)
    analysis = settings.analysis
    oversight = Oversight(switch=analysis.switch, expires=analysis.expires)
    with closing(existing_resources(settings)) as resources, resources.sessions.reading() as found:
        paused = pauses(found)
        enabled = {one.name: one.enabled for one in settings.destinations}
        names = sorted({*enabled, *paused, *waited_for(found)})
        backlogs = {name: backlog(found, name) for name in names}
        permission = oversight.permission(now.astimezone().date())
        held = {name: held_deliveries(found, name) for name in names}
        unserved = view.unserved(backlogs, enabled, paused, held)
        stages = view.stages_of(
            queue(found, None),
            backlogs,
            view.stops_of(condition, silence, permission, unserved),
            condition.workers if condition and not silence else (),
            now,
        )
    typer.echo(view.as_json(stages) if as_json else "\n".join(view.words(stages, now)))


def _settings_of(config: Path) -> Settings:
    """Read the settings; of a faulty file what says where the node keeps its data.

    A node that runs goes on with the last good settings, so that it can still be looked at.

    Raises
    ------
    SettingsError
        If that is faulty as well.
    """
    try:
        return load(config)
    except SettingsError as fault:
        settings = load_storage(config)
        err.print(f"[bold yellow]doubt:[/] {escape(str(fault))}")
        return settings


@app.command()
def ready(as_json: AsJson = False, config: Ini = INI) -> None:
    """Say whether the node runs and takes instances: exit status 0, else 1 and the reason."""
    from dicom_node.folder_lock import is_running
    from dicom_node.health import read_condition, why_not_ready

    settings = _settings_of(config)
    folder, receiver = settings.storage.folder, settings.node.receiver
    condition, running = read_condition(folder, receiver), is_running(folder, receiver)
    reason = why_not_ready(condition, datetime.now(UTC), running=running)
    told = {"ready": not reason, "reason": reason}
    typer.echo(json_text(told) if as_json else reason or "ready")
    raise typer.Exit(1 if reason else 0)
