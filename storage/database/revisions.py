"""Revisions of the tables: the steps between them, and if a database has all of its own."""

from __future__ import annotations

from dataclasses import dataclass

from alembic import command
from alembic.script import Script
from sqlalchemy import Connection, Engine, inspect, text

from storage.database import (
    console_tables,  # noqa: F401  # its tables are part of the metadata
    report_tables,  # noqa: F401  # likewise
    watch_tables,  # noqa: F401  # likewise
    work_item_tables,  # noqa: F401  # likewise
)
from storage.database.engine import changing_tables, reading, refuse_newer, revision_in, scripts
from storage.database.faults import DAMAGED, own_errors
from storage.database.own_tables import FIRST
from storage.database.schema import Base
from storage.errors import DatabaseUnavailable, DatabaseUnusable

TABLES = Base.metadata  #: all of this program's
MOST_NAMED = 5  #: names of what is missing that a sentence has


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


def examine(engine: Engine) -> None:
    """Check that a database can be opened, is whole (SQLite: every page), and can be ours.

    Raises
    ------
    DatabaseUnavailable
        If it cannot be read, or is damaged.
    DatabaseUnusable
        If it is of a newer version or of something else, or tables or columns of ours are missing.
    """
    with own_errors(), reading(engine).connect() as connection:
        if engine.dialect.name == "sqlite":
            finding = str(connection.execute(text("PRAGMA quick_check(1)")).scalar())
            if finding != "ok":
                raise DatabaseUnavailable(f"{DAMAGED.what}: {DAMAGED.remedy}")
        revision = revision_in(connection)
        refuse_newer(revision)
        missing = _missing(connection, revision) if revision else []
    if missing:
        more = "" if len(missing) <= MOST_NAMED else f" and {len(missing) - MOST_NAMED} more"
        raise DatabaseUnusable(
            "the database lacks tables or columns of this program"
            f" ({', '.join(missing[:MOST_NAMED])}{more}): restore a copy of the database"
        )


def _missing(connection: Connection, revision: str) -> list[str]:
    """Name tables and columns that are not there; of an older revision the first tables alone."""
    names = sorted(TABLES.tables if revision == newest() else FIRST)
    found = {
        name: {column["name"] for column in columns}
        for (_, name), columns in inspect(connection).get_multi_columns(filter_names=names).items()
    }
    missing = [name for name in names if name not in found]
    if revision == newest():
        missing += [
            f"{name}.{column.name}"
            for name in names
            for column in TABLES.tables[name].columns
            if name in found and column.name not in found[name]
        ]
    return missing


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
