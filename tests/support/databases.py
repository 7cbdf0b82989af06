"""The database of a test: of SQLite in its folder, or of PostgreSQL where the test runs on both."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import Engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from storage.database.engine import migrate, open_database, scripts
from storage.database.schema import Base

#: Environment variable with the URL of the server, for the processes that a test starts as well
SERVER = "DICOM_NODE_TEST_SERVER"

_opened: list[psycopg.Connection] = []


def database_url(folder: Path, *, empty: bool = False) -> str:
    """URL of the database of a folder: the same folder, the same database.

    Parameters
    ----------
    empty
        Whether a new one is to have no tables; on a server it has those of today otherwise, for a
        migration takes longer than most tests.
    """
    server = os.environ.get(SERVER)
    if server is None:
        return f"sqlite:///{folder / 'node.sqlite'}"
    digest = _digest(folder)
    name = f"{'empty' if empty else 'test'}_{digest}"
    with psycopg.connect(server, autocommit=True) as connection:
        known = _databases(connection)
        free = [database for database in known if database.startswith("free_")]
        if f"empty_{digest}" in known:
            name = f"empty_{digest}"
        elif name in known:
            pass
        elif free and not empty:
            connection.execute(f"ALTER DATABASE {free[0]} RENAME TO {name}")
        else:
            template = "template1" if empty else "migrated"
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return _address(server, name)


def migrated_database(folder: Path) -> Engine:
    """Open the database of a folder, with the tables of today; a new one has them from a copy."""
    url = database_url(folder)
    if make_url(url).get_backend_name() == "sqlite" and not any(folder.glob("node.sqlite*")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "node.sqlite").write_bytes(_migrated_file())
    engine = open_database(url)
    migrate(engine)
    return engine


@cache
def _migrated_file() -> bytes:
    """Give SQLite's file as the migrations leave it: running them takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "node.sqlite"
        engine = open_database(f"sqlite:///{file}")
        migrate(engine)
        engine.dispose()
        return file.read_bytes()


def lose_database(folder: Path) -> None:
    """Delete the database of a folder, and have an empty one; nobody uses it."""
    if (server := os.environ.get(SERVER)) is None:
        (folder / "node.sqlite").unlink()
        return
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE test_{_digest(folder)} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE test_{_digest(folder)}")


def copy_database(source: Path, target: Path) -> None:
    """Put a copy of the database of a folder in place of that of another; nobody uses them."""
    if (server := os.environ.get(SERVER)) is None:
        shutil.copy(source / "node.sqlite", target / "node.sqlite")
        return
    old, new = (f"test_{_digest(folder)}" for folder in (source, target))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {new} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {new} TEMPLATE {old}")


def _digest(folder: Path) -> str:
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]


def make_template(server: str) -> None:
    """Make the database that others are copied from."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    engine = open_database(_address(server, "migrated"))
    migrate(engine)
    engine.dispose()


def release_databases(server: str) -> None:
    """Close what a test has left open; empty its databases, so that others may use them.

    One that was empty at first, or whose tables are no more those of the template, is deleted.
    """
    while _opened:
        _opened.pop().close()
    with psycopg.connect(server, autocommit=True) as connection:
        for name in _databases(connection):
            if not name.startswith(("test_", "empty_")):
                continue
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            if name.startswith("test_") and _empty(_address(server, name)):
                free = name.replace("test_", "free_")
                connection.execute(f"ALTER DATABASE {name} RENAME TO {free}")
            else:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _empty(address: str) -> bool:
    """Delete all rows; False if there are not the tables there should be, of today's version."""
    ours = sorted(Base.metadata.tables)
    with psycopg.connect(address) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        if {name for (name,) in tables.fetchall()} != {*ours, "alembic_version"}:
            return False
        if connection.execute("SELECT version_num FROM alembic_version").fetchall() != [(head(),)]:
            return False  # a test said that they were those of another version
        names = [sql.Identifier(table.name) for table in reversed(Base.metadata.sorted_tables)]
        deletions = [sql.SQL("DELETE FROM {}").format(name) for name in names]  # few rows each
        restart = sql.SQL("ALTER SEQUENCE delivery_id_seq RESTART")
        connection.execute(sql.SQL("; ").join([*deletions, restart]))
    return True


@cache
def head() -> str:
    """Name the version of the tables of today."""
    found = scripts().get_current_head()
    assert found is not None
    return found


def _databases(connection: psycopg.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()]


def _address(server: str, database: str) -> str:
    return make_url(server).set(database=database).render_as_string(hide_password=False)


def impatient_database(folder: Path) -> Engine:
    """Open the database of a folder; it waits for nobody who has locked it."""
    engine = open_database(database_url(folder))
    sqlite = engine.dialect.name == "sqlite"
    wait = "PRAGMA busy_timeout = 0" if sqlite else "SET lock_timeout = 1"

    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(wait)
        cursor.close()
        if not sqlite:
            connection.commit()

    event.listen(engine, "connect", prepare)
    return engine


@contextmanager
def locked_database(folder: Path) -> Iterator[None]:
    """Keep everybody else from writing to the database of a folder."""
    engine = open_database(database_url(folder))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            tables = connection.execute(
                text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            ).scalars()
            connection.execute(text(f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE"))
        yield
    engine.dispose()


@event.listens_for(Pool, "connect")
def _remember(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Remember connections of PostgreSQL: many a test leaves them to the garbage collector."""
    if isinstance(connection, psycopg.Connection):
        _opened.append(connection)
