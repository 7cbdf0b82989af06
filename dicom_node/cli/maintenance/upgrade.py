"""The commands `upgrade` and `downgrade`: bring the database to a version of the program."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.reader import load
from dicom_node.cli.options import INI, Ini, bar, err
from dicom_node.cli.views.json_text import json_text
from dicom_node.errors import NodeError

if TYPE_CHECKING:
    from config.settings import Settings
    from dicom_node.maintenance.upgrade import Change

app = typer.Typer()

OfBefore = Annotated[
    Path | None,
    typer.Option("--backup", help="A backup made since the node was stopped; it is read whole."),
]


def _number(hours: float) -> float:
    """Refuse what is no number, which no bounds refuse."""
    if math.isnan(hours):
        raise typer.BadParameter("expected a number of hours, got nan")
    return hours


MOST_HOURS = 8784.0  #: of a year
Hours = Annotated[
    float,
    typer.Option(
        min=0,
        max=MOST_HOURS,
        help="How old the backup may be.",
        callback=_number,
    ),
]
OnlySay = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
PlanAsJson = Annotated[
    bool, typer.Option("--json", help="Only say what would be done, for machines.")
]
HOURS = 24.0  #: how old a backup may be if nothing is said


@app.command()
def upgrade(
    backup: OfBefore = None,
    hours: Hours = HOURS,
    dry_run: OnlySay = False,
    as_json: PlanAsJson = False,
    config: Ini = INI,
) -> None:
    """Bring the database to this program's version; the node must be stopped, and backed up."""
    from dicom_node.maintenance.upgrade import planned_upgrade

    settings = load(config)
    change = planned_upgrade(settings)
    if as_json:
        typer.echo(json_text(change))
        return
    if not change.steps:
        typer.echo(f"the database is of this program's version ({change.current}): nothing to do")
        return
    typer.echo(f"from {change.current} to {change.target}, in one transaction:")
    for step in change.steps:
        typer.echo(f"  {step.revision} brings: {step.brings}")
    _carry_out(settings, change, backup, hours, dry_run=dry_run)


@app.command()
def downgrade(
    revision: Annotated[
        str, typer.Argument(help="That of the older program, which names it when it refuses.")
    ],
    backup: OfBefore = None,
    hours: Hours = HOURS,
    dry_run: OnlySay = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it, though that is lost.")] = False,
    as_json: PlanAsJson = False,
    config: Ini = INI,
) -> None:
    """Take the database back to an older program's version; says first what is lost by it."""
    from dicom_node.maintenance.upgrade import planned_downgrade

    settings = load(config)
    change = planned_downgrade(settings, revision)
    if as_json:
        typer.echo(json_text(change))
        return
    if not change.steps:
        typer.echo(f"the database is of that version ({change.current}): nothing to do")
        return
    typer.echo(f"from {change.current} back to {change.target}, in one transaction:")
    for step in change.steps:
        typer.echo(f"  without {step.revision} is lost: {step.lost}")
    if not (dry_run or yes):
        raise NodeError("nothing was done: say --yes to go back and lose that")
    _carry_out(settings, change, backup, hours, dry_run=dry_run)


def _carry_out(
    settings: Settings, change: Change, backup: Path | None, hours: float, *, dry_run: bool
) -> None:
    """Check the backup, and change the tables; or say what a run without --dry-run would need."""
    from dicom_node.maintenance.upgrade import change_tables, require_backup

    now = datetime.now(UTC)
    if backup is None:
        needed = "--backup BACKUP, made since the node was stopped (dicom-node backup create)"
        if not dry_run:
            raise NodeError(f"expected {needed}, got none")
        typer.echo(f"needs {needed}; nothing was done")
        return
    with bar(err) as progress:
        task = progress.add_task("Reading the backup", total=None)

        def step() -> None:
            progress.advance(task)

        if dry_run:
            made = require_backup(settings, backup, now, hours=hours, step=step)
        else:
            made = change_tables(settings, change, backup, now, hours=hours, step=step)
    done = "nothing was done" if dry_run else f"the database is of version {change.target} now"
    typer.echo(f"the backup of {made.made_at} is whole; {done}")
