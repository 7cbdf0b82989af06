"""The commands `backup` and `restore`: copy an installation while it runs, check and restore it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from config.reader import load
from dicom_node.cli.options import INI, AsJson, Ini, bar, err
from dicom_node.cli.views.json_text import json_text, print_outcome
from dicom_node.errors import NodeError

app = typer.Typer()
backups = typer.Typer(no_args_is_help=True, help="Backups of the installation: create, verify.")
app.add_typer(backups, name="backup")

Backup = Annotated[Path, typer.Argument(help="Folder of one backup.")]


@backups.command()
def create(
    to: Annotated[Path, typer.Argument(help="Folder of backups, outside the storage folder.")],
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Copy database, storage folder and INI file into a new folder; the node may run."""
    from dicom_node.maintenance.backup import make_backup

    settings = load(config)
    with bar(err) as progress:
        task = progress.add_task("Copying", total=None)
        backup = make_backup(
            settings, config, to, datetime.now(UTC), step=lambda: progress.advance(task)
        )
    print_outcome({"backup": backup}, str(backup), as_json=as_json)


@backups.command()
def verify(backup: Backup, as_json: AsJson = False) -> None:
    """Read a whole backup and compare it with its digests; exit status 1 if it is not whole."""
    from dicom_node.maintenance.backup import verify_backup

    with bar(err) as progress:
        task = progress.add_task("Comparing", total=None)
        checked = verify_backup(backup, step=lambda: progress.advance(task))
    if as_json:
        typer.echo(json_text(checked))
        raise typer.Exit(1 if checked.faults else 0)
    for fault in checked.faults:
        typer.echo(fault)
    if checked.faults:
        raise NodeError(
            f"faults: {len(checked.faults)} in {checked.files} files: not to be relied on"
        )
    made = checked.manifest
    typer.echo(f"whole: {checked.files} files, {made.bytes:,} bytes, made at {made.made_at}")


@app.command()
def restore(backup: Backup, as_json: AsJson = False, config: Ini = INI) -> None:
    """Restore a backup into the empty storage folder and the empty database of the INI file."""
    from dicom_node.maintenance.restore import restore_backup

    if not config.exists():
        raise NodeError(f"{config}: expected the INI file; the backup's is in {backup}/settings")
    settings = load(config)
    with bar(err) as progress:
        task = progress.add_task("Restoring", total=None)
        made = restore_backup(backup, settings, step=lambda: progress.advance(task))
    words = (
        f"restored as of {made.made_at}; start the node, and end its note of that with"
        " dicom-node doctor --mend while it is stopped"
    )
    print_outcome({"backup": backup, "made_at": made.made_at}, words, as_json=as_json)
