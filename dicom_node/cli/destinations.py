"""The commands `destinations`: list, pause and resume the destinations of results."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import typer

from config.reader import load
from dicom_node.cli.options import INI, AsJson, DestinationName, Ini
from dicom_node.cli.settings import os_user
from dicom_node.cli.views.json_text import json_text, print_outcome
from dicom_node.errors import NodeError

app = typer.Typer(no_args_is_help=True, help="Destinations of results: list, pause, resume.")


@app.command(name="list")
def list_all(as_json: AsJson = False, config: Ini = INI) -> None:
    """List the destinations, what waits for them, and which are paused."""
    from dicom_node.assembly.resources import existing_resources
    from storage.console.node_pages import backlog, waited_for
    from storage.delivery.pauses import pauses

    settings = load(config)
    with closing(existing_resources(settings)) as resources, resources.sessions.reading() as found:
        paused = pauses(found)
        enabled = {one.name: one.enabled for one in settings.destinations}
        names = sorted({*enabled, *paused, *waited_for(found)})
        backlogs = {name: backlog(found, name) for name in names}
        if as_json:
            lines = [
                {
                    "destination": name,
                    "enabled": enabled.get(name),
                    "paused": paused.get(name),
                    "waits": backlogs[name],
                }
                for name in names
            ]
            typer.echo(json_text(lines))
            return
        for name in names:
            waits = [f"{count} {state}" for state, count in backlogs[name].states.items()]
            words = [", ".join(waits) or "nothing waits"]
            if name not in enabled:
                words.append("not in the settings")
            elif not enabled[name]:
                words.append("switched off")
            if name in paused:
                one = paused[name]
                words.append(f"paused since {one.at.astimezone():%Y-%m-%d %H:%M} by {one.by}")
            typer.echo(f"{name}: {'; '.join(words)}")


@app.command()
def pause(name: DestinationName, as_json: AsJson = False, config: Ini = INI) -> None:
    """Send a destination nothing until it is resumed; what waits for it stays."""
    _change(config, name, to_paused=True, as_json=as_json)


@app.command()
def resume(name: DestinationName, as_json: AsJson = False, config: Ini = INI) -> None:
    """Send what waits for a paused destination, with all its tries again."""
    _change(config, name, to_paused=False, as_json=as_json)


def _change(config: Path, name: str, *, to_paused: bool, as_json: bool) -> None:
    """Pause or resume a destination, and record who did."""
    from dicom_node import logs
    from dicom_node.assembly.resources import existing_resources
    from dicom_node.audit.decisions import Decided, DecisionLog
    from dicom_node.cli.probe import named
    from dicom_node.clock_watch import utc_now
    from storage.console.changes import Change, record_change
    from storage.delivery import pauses

    settings = load(config)
    logs.configure(level=settings.log.level, style=settings.log.format)
    who, now = f"{os_user()} (command line)", datetime.now(UTC)
    with closing(existing_resources(settings)) as resources, resources.sessions.begin() as session:
        if name not in pauses.pauses(session):
            named(settings, name)
        if to_paused:
            is_new = pauses.pause(session, name, by=who, now=now)
        else:
            is_new = pauses.resume(session, name, now)
        if not is_new:
            raise NodeError(f"{name} is {'paused already' if to_paused else 'not paused'}")
        change = Change(
            at=now,
            user=who,
            action="pause" if to_paused else "resume",
            subject=name,
            before="" if to_paused else "paused",
            after="paused" if to_paused else "",
        )
        record_change(session, change)
    decided = Decided.PAUSED if to_paused else Decided.RESUMED
    decisions = DecisionLog(settings.storage.folder, utc_now)
    decisions.record(decided, {"destination": name}, by=who)
    words = f"{name} is paused." if to_paused else f"{name} gets what waits for it."
    print_outcome({"destination": name, "paused": to_paused}, words, as_json=as_json)
    decisions.require_written()
