"""Commands that change the INI file: `settings set`, `settings history`, `settings restore`."""

from __future__ import annotations

import os
import pwd
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from config.hot import waiting_for_restart
from config.reader import SECTIONS, Place, read_text
from config.versions import Version, digest, folder_of, restore, versions, write_settings
from dicom_node.cli.options import INI, AsJson, Ini, out
from dicom_node.cli.views.json_text import json_text, print_outcome
from dicom_node.errors import NodeError, UsageError
from storage.files.disk import naming

app = typer.Typer(
    name="settings",
    no_args_is_help=True,
    help="Change the settings, see who changed them, put earlier ones back.",
)


def keys_of(context: typer.Context, incomplete: str) -> list[str]:
    """Complete SECTION.KEY, but for those of destinations; nothing where a value is to follow."""
    if len(context.params.get("pairs") or ()) % 2:
        return []
    names = (
        f"{section}.{key}" for section, model in SECTIONS.items() for key in model.model_fields
    )
    return [name for name in names if name.startswith(incomplete)]


@app.command("set")
def set_values(
    pairs: Annotated[
        list[str],
        typer.Argument(
            metavar="SECTION.KEY VALUE ...",
            help="Such as analysis.threshold 0.3",
            autocompletion=keys_of,
        ),
    ],
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Change settings in the INI file; comments and everything else stay as they are."""
    from config.editing import changed_text

    if len(pairs) % 2:
        raise UsageError("expected a value for each SECTION.KEY, got none for the last")
    changes = dict(zip(map(place_of, pairs[::2]), pairs[1::2], strict=True))
    text = read_text(config)
    new = changed_text(text, changes)
    now = datetime.now(UTC)
    with naming(config):
        version = write_settings(config, new, expected_digest=digest(text), by=os_user(), at=now)
    _show(version, as_json=as_json)


@app.command()
def history(as_json: AsJson = False, config: Ini = INI) -> None:
    """Show who changed which settings, and when; secrets are named only."""
    found = kept_of(config)
    if as_json:
        lines = [
            {
                "number": version.number,
                "at": version.at,
                "by": version.by,
                "changes": [str(change) for change in version.changes],
            }
            for version in found
        ]
        typer.echo(json_text(lines))
        return
    if not found:
        out.print(
            f"no change is kept: nothing was changed yet, or {escape(str(folder_of(config)))} was"
            " removed",
            highlight=False,
        )
    elif found[0].number > 1:
        out.print(f"changes before {found[0].number} are not kept any more", highlight=False)
    for version in found:
        when = f"{version.at.astimezone():%Y-%m-%d %H:%M:%S}"
        out.print(f"{version.number}  {when}  {escape(version.by)}")
        for change in version.changes:
            out.print(f"   {escape(str(change))}")


@app.command("restore")
def restore_version(
    number: Annotated[int, typer.Argument(help="Of a change that history shows.")],
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Put the settings back as they were before a change; that is a change itself."""
    found = [version for version in kept_of(config) if version.number == number]
    if not found:
        raise NodeError(f"expected a change that `settings history` shows, got {number}")
    with naming(config):
        version = restore(config, found[0], by=os_user(), at=datetime.now(UTC))
    _show(version, as_json=as_json)


def kept_of(config: Path) -> tuple[Version, ...]:
    """List the changes that are kept of an INI file.

    Raises
    ------
    NodeError
        If they cannot be read.
    """
    try:
        return versions(config)
    except OSError as fault:
        raise NodeError(
            f"{fault.filename}: expected the changes that are kept, for {os_user()} to read, got:"
            f" {fault.strerror}"
        ) from fault


def place_of(text: str) -> Place:
    """Read ``SECTION.KEY``.

    Raises
    ------
    UsageError
        If it has no such form.
    """
    section, _, key = text.rpartition(".")
    if not (section and key):
        raise UsageError(f"expected SECTION.KEY, such as analysis.threshold, got {text!r}")
    return section, key


def os_user() -> str:
    """Name of the user who runs this command, by the system."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number without a name
        return str(os.getuid())


def _show(version: Version | None, *, as_json: bool) -> None:
    """Say what was changed, and when it counts."""
    changes = () if version is None else version.changes
    lines, restart = [str(change) for change in changes], waiting_for_restart(changes)
    facts = {"changes": tuple(lines), "needs_restart": restart}
    if not changes:
        lines.append("nothing to do: these are the settings.")
    if restart:
        lines.append(f"needs a restart: {', '.join(restart)}")
    if len(restart) < len(changes):
        lines.append("a node that runs takes up what needs no restart within seconds.")
    print_outcome(facts, *lines, as_json=as_json)
