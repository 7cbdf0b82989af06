"""Fill an empty database of PostgreSQL with the rows of a copy of SQLite, table by table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from sqlalchemy import (
    Connection,
    Engine,
    Table,
    create_engine,
    delete,
    func,
    insert,
    select,
)

from storage.database.engine import changing_tables, require_migrated, revision_in
from storage.database.schema import Base
from storage.errors import DatabaseUnavailable, DatabaseUnusable

ROWS = 1000  #: that are read and written at once


def fill_from_sqlite(copy: Path, engine: Engine) -> None:
    """Make the tables, and bring all rows into them, all in one transaction.

    Parameters
    ----------
    copy
        File of SQLite that nobody writes to; nothing is written beside it either.
    engine
        An empty database of PostgreSQL.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        If the tables of the copy are of another version, or the database does not take them, or
        holds some.
    """
    with _opened(copy) as source:
        try:
            require_migrated(source)
        except DatabaseUnusable as fault:
            raise DatabaseUnusable(
                f"the backup is not brought into another kind of database: {fault}; upgrade the"
                " node first, and make a new backup"
            ) from None
        with changing_tables(engine) as config, source.connect() as reader:
            writer: Connection = config.attributes["connection"]
            if revision_in(writer) is not None:
                raise DatabaseUnusable("expected an empty database at database_url, got tables")
            command.upgrade(config, "head")
            _copy_all(reader, writer)


@contextmanager
def _opened(copy: Path) -> Iterator[Engine]:
    address = f"{copy.absolute().as_uri()}?mode=ro&immutable=1"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True))
    try:
        yield engine
    finally:
        engine.dispose()


def _copy_all(reader: Connection, writer: Connection) -> None:
    tables = Base.metadata.sorted_tables  # what is referred to comes first
    for table in reversed(tables):
        writer.execute(delete(table))  # what a migration has entered
    for table in tables:
        rows = reader.execution_options(yield_per=ROWS).execute(select(table)).mappings()
        for part in rows.partitions():
            writer.execute(insert(table), [dict(row) for row in part])
        _go_on_counting(writer, table)
        count = select(func.count()).select_from(table)
        if reader.scalar(count) != writer.scalar(count):
            raise DatabaseUnavailable(f"expected all rows of {table.name}, some are missing")


def _go_on_counting(writer: Connection, table: Table) -> None:
    """Have the numbers that the database gives to rows go on after the largest one there is."""
    column = table.autoincrement_column
    if column is None:
        return
    name = writer.dialect.identifier_preparer.format_table(table)
    sequence = select(func.pg_get_serial_sequence(name, column.name))
    if writer.scalar(sequence) is not None:
        following = select(func.coalesce(func.max(column), 0) + 1).scalar_subquery()
        writer.execute(select(func.setval(sequence.scalar_subquery(), following, False)))
