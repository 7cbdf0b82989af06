"""The database: how it is opened, and how its tables come up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from storage.errors import DatabaseRefused, DatabaseUnavailable

BUSY_TIMEOUT_MS = 30_000  #: how long a SQLite transaction waits for its turn to write
READING = "reading"  #: execution option of connections that only read


def open_database(url: str) -> Engine:
    """Open SQLite or PostgreSQL; nothing is created or changed yet (see :func:`migrate`).

    SQLite runs in WAL mode and synchronises at every commit, so that what was committed
    survives a power cut. Its transactions take the right to write when they begin: one that
    asked for it half-way could be turned away, whatever the busy timeout.
    """
    engine = create_engine(
        url,
        pool_pre_ping=not url.startswith("sqlite"),
        hide_parameters=True,  # an error's text would repeat what was being written
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def own_errors() -> Iterator[None]:
    """Raise storage's errors in place of SQLAlchemy's.

    Raises
    ------
    DatabaseUnavailable
        If the database is locked, full or away.
    DatabaseRefused
        If it does not take what was asked of it.
    """
    try:
        yield
    except OperationalError as fault:
        raise DatabaseUnavailable(type(fault).__name__) from fault
    except SQLAlchemyError as fault:
        raise DatabaseRefused(type(fault).__name__) from fault


def connect(engine: Engine) -> None:
    """Connect once, to see that the database can be opened.

    Raises
    ------
    DatabaseUnavailable, DatabaseRefused
        If it cannot be.
    """
    with own_errors():
        engine.connect().close()


def reading(engine: Engine) -> Engine:
    """Share an engine's connections for transactions that only read, and so wait for no one."""
    return engine.execution_options(**{READING: True})


def migrate(engine: Engine) -> None:
    """Bring the tables up to date, all in one transaction. Needs no file but this package.

    Raises
    ------
    DatabaseUnavailable, DatabaseRefused
        If the database cannot be opened, or its tables cannot be changed.
    """
    config = _alembic()
    with own_errors(), engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_migrated(engine: Engine) -> bool:
    """Say whether the tables are there and up to date; nothing is made, no file either.

    Raises
    ------
    DatabaseUnavailable, DatabaseRefused
        If the database cannot be read.
    """
    file = engine.url.database
    if engine.dialect.name == "sqlite" and file and not Path(file).exists():
        return False
    with own_errors(), reading(engine).connect() as connection:
        here = MigrationContext.configure(connection).get_current_revision()
    return here == ScriptDirectory.from_config(_alembic()).get_current_head()


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    return config


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Take transactions out of the driver's hands; see :func:`_begin_sqlite`."""
    if not isinstance(connection, sqlite3.Connection):
        raise TypeError(f"expected a connection of sqlite3, got {type(connection)}")
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Begin as a writer, or as a reader where :func:`reading` says so."""
    writes = not connection.get_execution_options().get(READING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
