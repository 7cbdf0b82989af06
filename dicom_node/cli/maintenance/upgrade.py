"""The commands `upgrade` and `downgrade`: bring the database to a version of the program."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.reader import load
from dicom_node.cli.options import INI, AsJson, Ini, bar, err
from dicom_node.cli.views.json_text import print_outcome
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
HOURS = 24.0  #: how old a backup may be if nothing is said


@app.command()
def upgrade(
    backup: OfBefore = None,
    hours: Hours = HOURS,
    dry_run: OnlySay = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Bring the database to this program's version; the node must be stopped, and backed up."""
    from dicom_node.maintenance.upgrade import planned_upgrade

    settings = load(config)
    change = planned_upgrade(settings)
    if not change.steps:
        words = f"the database is of this program's version ({change.current}): nothing to do"
        print_outcome(_facts(change), words, as_json=as_json)
        return
    if not as_json:
        typer.echo(f"from {change.current} to {change.target}, in one transaction:")
        for step in change.steps:
            typer.echo(f"  {step.revision} brings: {step.brings}")
    _carry_out(settings, change, backup, hours, dry_run=dry_run, as_json=as_json)


@app.command()
def downgrade(
    revision: Annotated[
        str, typer.Argument(help="That of the older program, which names it when it refuses.")
    ],
    backup: OfBefore = None,
    hours: Hours = HOURS,
    dry_run: OnlySay = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it, though that is lost.")] = False,
    as_json: AsJson = False,
    config: Ini = INI,
) -> None:
    """Take the database back to an older program's version; says first what is lost by it."""
    from dicom_node.maintenance.upgrade import planned_downgrade

    settings = load(config)
    change = planned_downgrade(settings, revision)
    if not change.steps:
        words = f"the database is of that version ({change.current}): nothing to do"
        print_outcome(_facts(change), words, as_json=as_json)
        return
    if not as_json:
        typer.echo(f"from {change.current} back to {change.target}, in one transaction:")
        for step in change.steps:
            typer.echo(f"  without {step.revision} is lost: {step.lost}")
    if not (dry_run or yes):
        raise NodeError("nothing was done: say --yes to go back and lose that")
    _carry_out(settings, change, backup, hours, dry_run=dry_run, as_json=as_json)


def _facts(
    change: Change, *, is_done: bool = False, backup_made_at: str | None = None
) -> dict[str, object]:
    """Give a change for programs: its plan, whether it was carried out, and after which backup."""
    return {**asdict(change), "is_done": is_done, "backup_made_at": backup_made_at}


def _carry_out(
    settings: Settings,
    change: Change,
    backup: Path | None,
    hours: float,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Check the backup, and change the tables; or say what a run without --dry-run would need."""
    from dicom_node.maintenance.upgrade import change_tables, require_backup

    now = datetime.now(UTC)
    if backup is None:
        needed = "--backup BACKUP, made since the node was stopped (dicom-node backup create)"
        if not dry_run:
            raise NodeError(f"expected {needed}, got none")
        print_outcome(_facts(change), f"needs {needed}; nothing was done", as_json=as_json)
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
    print_outcome(
        _facts(change, is_done=not dry_run, backup_made_at=made.made_at),
        f"the backup of {made.made_at} is whole; {done}",
        as_json=as_json,
    )
