"""Commands that say how the node fares: `status` and `ready`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from config.errors import SettingsError
from config.reader import load, load_storage
from config.settings import Settings
from dicom_node.cli.options import INI, Ini, err, out

if TYPE_CHECKING:
    from storage.delivery.pauses import Pause
    from storage.overview import Overview
    from storage.results.answers import AnswerCounts

app = typer.Typer()


@app.command()
def status(
    config: Ini = INI,
    limit: Annotated[int, typer.Option(help="How many lines of each list.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    waiting: Annotated[
        bool,
        typer.Option(
            "--waiting",
            help="Show instead, by sender, how long series waited until they were closed, and by"
            " which proof.",
        ),
    ] = False,
) -> None:
    """Show every series and where it stands, deliveries, answers, refusals and the quarantine."""
    from dicom_node.assembly.resources import GIGABYTE
    from dicom_node.cli.views import status as view
    from dicom_node.folder_lock import is_running
    from dicom_node.health import read_condition
    from storage.files.disk import disk_free

    settings = _settings_of(config)
    if waiting:
        _show_waits(settings, as_json=as_json)
        return
    running = is_running(settings.storage.folder)
    condition = read_condition(settings.storage.folder)
    if not as_json:
        view.show_condition(condition, out, running=running)
    current, answers, paused = _look(settings, limit)
    free_gb = disk_free(settings.storage.folder) / GIGABYTE
    disk = view.Disk(free_gb=free_gb, reserve_gb=settings.storage.reserve_gb)
    if as_json:
        typer.echo(
            view.as_json(
                current,
                disk,
                answers,
                running=running,
                condition=condition,
                paused=paused,
            )
        )
    else:
        view.show(current, disk, out, answers=answers, paused=paused)


def _look(settings: Settings, limit: int) -> tuple[Overview, AnswerCounts, Mapping[str, Pause]]:
    """Read what the database knows."""
    from dicom_node.cli.views.status import FEEDBACK_DAYS
    from storage.database.engine import open_database, require_migrated
    from storage.database.sessions import Sessions
    from storage.delivery.pauses import pauses
    from storage.overview import overview
    from storage.results.answers import answer_counts

    database = open_database(settings.database_url)
    require_migrated(database)
    since = datetime.now(UTC) - timedelta(days=FEEDBACK_DAYS)
    with Sessions(database).reading() as session:
        return overview(session, limit), answer_counts(session, since), pauses(session)


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
def ready(config: Ini = INI) -> None:
    """Say whether the node runs and takes instances: exit status 0, else 1 and the reason."""
    from dicom_node.folder_lock import is_running
    from dicom_node.health import read_condition, why_not_ready

    folder = _settings_of(config).storage.folder
    reason = why_not_ready(read_condition(folder), datetime.now(UTC), running=is_running(folder))
    typer.echo(reason or "ready")
    raise typer.Exit(1 if reason else 0)
