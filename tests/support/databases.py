"""The database of a test: of SQLite in its folder, or of PostgreSQL where the test runs on both."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from weakref import WeakSet

import psycopg
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, Pool

#: Environment variable with the URL of the server, for the processes that a test starts as well
SERVER = "DICOM_NODE_TEST_SERVER"

_opened: WeakSet[DBAPIConnection] = WeakSet()


def database_url(folder: Path) -> str:
    """URL of the database of a folder: the same folder, the same database. It is empty at first."""
    server = os.environ.get(SERVER)
    if server is None:
        return f"sqlite:///{folder / 'node.sqlite'}"
    name = "test_" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    with psycopg.connect(server, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if known.fetchone() is None:
            connection.execute(f"CREATE DATABASE {name}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def drop_databases(server: str) -> None:
    """Close what a test has left open, and delete the databases it has made."""
    for opened in list(_opened):
        opened.close()
    with psycopg.connect(server, autocommit=True) as connection:
        names = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'test_%'")
        for (name,) in names.fetchall():
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@event.listens_for(Pool, "connect")
def _remember(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Remember connections of PostgreSQL: many a test leaves them to the garbage collector."""
    if isinstance(connection, psycopg.Connection):
        _opened.add(connection)
