"""Steps between the revisions of the tables, forwards and backwards."""

from __future__ import annotations

from dataclasses import dataclass

from alembic import command
from alembic.script import Script
from sqlalchemy import Engine

from storage.database.engine import changing_tables, scripts
from storage.errors import DatabaseUnusable


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A revision of the tables.

    Attributes
    ----------
    brings
        What it has that the one before has not.
    lost
        What is lost by going back to the one before.
    """

    revision: str
    brings: str
    lost: str


def newest() -> str:
    """Name the revision of this program."""
    return str(scripts().get_current_head())


def steps(low: str, high: str) -> tuple[Step, ...]:
    """List the revisions after `low` up to `high`, the oldest first; none if `low` is the newer.

    Raises
    ------
    DatabaseUnusable
        If this program does not know one of them.
    """
    known = _scripts()
    names = [script.revision for script in known]
    for name in (low, high):
        if name not in names:
            raise DatabaseUnusable(
                f"expected a revision of the tables from {names[0]} to {names[-1]}, got {name}"
            )
    between = known[names.index(low) + 1 : names.index(high) + 1]
    return tuple(
        Step(revision=one.revision, brings=one.doc.rstrip("."), lost=one.module.LOST)
        for one in between
    )


def downgrade(engine: Engine, revision: str) -> None:
    """Take the tables back to an earlier revision, all in one transaction; see `Step.lost`.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        As `storage.database.engine.migrate`.
    """
    with changing_tables(engine) as config:
        command.downgrade(config, revision)


def _scripts() -> list[Script]:
    """List the migrations, the oldest first."""
    return list(scripts().walk_revisions())[::-1]
