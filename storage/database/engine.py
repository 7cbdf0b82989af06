"""The database: how it is opened, and how its tables come up to date."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from storage.database.faults import (
    READ_ONLY_DISK,
    leave_read_only,
    own_errors,
    wrap_fault_of_value,
)
from storage.database.own_tables import Owner, of_something_else, owner_of, relations_of
from storage.errors import DatabaseUnavailable, DatabaseUnusable

BUSY_TIMEOUT_MS = 30_000  #: how long a transaction waits for a lock
RETRY_SECONDS = 0.05  #: between two tries where SQLite does not wait itself
#: PostgreSQL ends a transaction that does nothing for so long: a process that stands still keeps
#: its locks no longer, and one that takes the lease over, after 45 s, finds none
IDLE_TRANSACTION_MS = 40_000
SHARED_IDLE_TRANSACTION_MS = 4_000  #: where receivers share it: one of them takes over in seconds
CONNECT_SECONDS = 10  #: how long a server may take to answer a new connection
#: A server that vanished without a word is noticed within a minute (libpq, connection parameters)
WATCHED_CONNECTION = {
    "client_encoding": "utf8",  # else a database in SQL_ASCII answers in bytes
    "connect_timeout": str(CONNECT_SECONDS),
    "keepalives_idle": "30",  # s
    "keepalives_interval": "10",  # s
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",  # ms
}
READER_LOCK_MS = 5000  #: longest wait of a reader for a lock, on PostgreSQL
OF_A_READ_ONLY_DISK = ("SQLITE_READONLY", "SQLITE_CANTOPEN")  #: what SQLite makes of one
STILL = "still"  #: in the info of a connection: it reads a file that nobody changes
READING = "reading"  #: execution option of connections that only read
OPEN_FILES = Path("/proc/self/fd")  #: of this process, on Linux; see proc(5)
MIGRATION_LOCK = 0x_D1C0_4C7  #: any number that is the node's own: one migration at a time


def open_database(url: str, *, is_shared: bool = False) -> Engine:
    """Open SQLite or PostgreSQL; nothing is created or changed yet (see :func:`migrate`).

    SQLite runs in WAL mode and synchronises at every commit, so that what was committed
    survives a power cut. Its transactions take the right to write when they begin: one that
    asked for it half-way could be turned away, whatever the busy timeout.

    Parameters
    ----------
    is_shared
        Whether receivers share it: PostgreSQL soon ends a transaction that does nothing.

    Raises
    ------
    DatabaseUnusable
        If the URL cannot be understood, or the driver is not installed.
    """
    try:
        target = _with_driver(make_url(url))
        engine = create_engine(
            target,
            pool_pre_ping=target.get_backend_name() != "sqlite",
            hide_parameters=True,  # an error's text would repeat what was being written
        )
    except ImportError:
        raise DatabaseUnusable(
            "the driver of the database is not installed: pip install 'dicom-node[postgres]'"
        ) from None
    except (ArgumentError, ValueError):  # its text may quote the URL, password and all
        raise DatabaseUnusable(
            "the URL of the database is none: expected sqlite:///FILE or"
            " postgresql://USER:PASSWORD@HOST:PORT/NAME"
        ) from None
    event.listen(engine, "handle_error", wrap_fault_of_value)
    event.listen(engine, "handle_error", leave_read_only)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "handle_error", _say_read_only_disk)
        event.listen(engine, "do_connect", _read_still_file)
        event.listen(engine, "checkin", _leave_still_file)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        idle_ms = SHARED_IDLE_TRANSACTION_MS if is_shared else IDLE_TRANSACTION_MS
        event.listen(engine, "connect", partial(_prepare_postgresql, idle_ms))
        event.listen(engine, "begin", _begin_postgresql)
    return engine


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Open a database for a while; raises as :func:`open_database`."""
    engine = open_database(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _with_driver(url: URL) -> URL:
    """Name the driver of PostgreSQL that we are tested with, and have its connections watched."""
    if url.get_backend_name() != "postgresql":
        return url
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return url.set(query={**WATCHED_CONNECTION, **url.query})


def reading(engine: Engine) -> Engine:
    """Share an engine's connections for transactions that only read, and so wait for no one."""
    return engine.execution_options(**{READING: True})


def migrate(engine: Engine) -> None:
    """Bring the tables up to date, all in one transaction. Needs no file but this package.

    Several programs may do so at the same moment: one after the other, and only the first
    changes anything.

    Raises
    ------
    DatabaseUnavailable
        If the database cannot be opened, or its tables cannot be changed.
    DatabaseUnusable
        If a newer version of the program has changed its tables, or they are of something else.
    """
    with changing_tables(engine) as config:
        if revision_in(config.attributes["connection"]) != scripts().get_current_head():
            command.upgrade(config, "head")


def migrate_new(engine: Engine) -> None:
    """Make the tables of a new database; those of another must be up to date.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        As :func:`migrate` and :func:`require_migrated`.
    """
    if revision_of(engine) is None:
        migrate(engine)
    else:
        require_migrated(engine)


@contextmanager
def changing_tables(engine: Engine) -> Iterator[Config]:
    """Change the tables in one transaction, alone; the configuration of Alembic is for that.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        As :func:`migrate`.
    """
    config = alembic_config()
    with own_errors(), engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # SQLite's BEGIN IMMEDIATE does the same
            connection.execute(text("SET LOCAL lock_timeout = 0"))  # a migration may take long
            connection.exec_driver_sql(
                f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_TRANSACTION_MS}"
            )
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        refuse_newer(revision_in(connection))
        config.attributes["connection"] = connection
        yield config


def is_absent(engine: Engine) -> bool:
    """Say whether the database is a file of SQLite that is not there; nothing is made."""
    file = engine.url.database
    return engine.dialect.name == "sqlite" and bool(file) and not Path(str(file)).exists()


def files_of_database(url: str) -> frozenset[Path]:
    """Name the files that SQLite works with, links resolved; none of a server."""
    target = make_url(url)
    if target.get_backend_name() != "sqlite" or not target.database:
        return frozenset()
    file = Path(target.database).resolve()
    return frozenset(
        file.with_name(f"{file.name}{end}") for end in ("", "-wal", "-shm", "-journal")
    )


def file_identity(engine: Engine) -> tuple[int, int] | None:
    """Tell which file the database is, by device and inode; None for a server, or a lost file."""
    return _identity(engine, lambda file: file)


def folder_identity(engine: Engine) -> tuple[int, int] | None:
    """Tell which folder that file is to lie in, likewise; None where the folder is away."""
    return _identity(engine, lambda file: file.parent)


def _identity(engine: Engine, of: Callable[[Path], Path]) -> tuple[int, int] | None:
    if engine.dialect.name == "sqlite" and engine.url.database:
        with suppress(OSError):
            entry = of(Path(engine.url.database)).stat()
            return entry.st_dev, entry.st_ino
    return None


def never_make(engine: Engine) -> None:
    """Refuse connections to a file of SQLite that is not there: SQLite would make an empty one."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "do_connect", _refuse_absent)


def _refuse_absent(_dialect: object, _record: object, where: list[str], _how: object) -> None:
    if not Path(where[0]).exists():
        raise sqlite3.OperationalError("unable to open database file")


def removed_files(engine: Engine) -> frozenset[str]:
    """Name the files beside SQLite's that this process has open, and that were removed.

    They belong to the database as long as anybody has it open: whoever opens it next would see,
    and write, another one. Empty where the system does not tell which files are open.
    """
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return frozenset()
    beside = {f"{Path(engine.url.database).resolve()}{end} (deleted)" for end in ("-wal", "-shm")}
    targets = set()
    for entry in OPEN_FILES.glob("*"):
        with suppress(OSError):  # it was closed meanwhile
            targets.add(str(entry.readlink()))
    return frozenset(beside & targets)


def is_migrated(engine: Engine) -> bool:
    """Say whether the tables are there and up to date; nothing is made, no file either.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        As :func:`revision_of`.
    """
    return not is_absent(engine) and _current_revision(engine) == scripts().get_current_head()


def require_migrated(engine: Engine) -> None:
    """Check that the tables are there and up to date; nothing is made, no file either.

    Raises
    ------
    DatabaseUnavailable
        If the database cannot be read.
    DatabaseUnusable
        If there are no tables, or those of an older or newer version, or of something else.
    """
    revision = revision_of(engine)
    if revision is None:
        raise DatabaseUnusable(
            "there is no database yet: the node has not been started, or its folder is not mounted"
        )
    refuse_newer(revision)
    if revision != (head := scripts().get_current_head()):
        raise DatabaseUnusable(
            f"the database is of an older version ({revision}, this program's is {head}):"
            " dicom-node upgrade brings it up to date, or the start of the node where [storage]"
            " migrate_at_start is yes"
        )


def revision_of(engine: Engine) -> str | None:
    """Read the revision of the tables; None if there are none, and no file is made.

    Raises
    ------
    DatabaseUnavailable
        If the database cannot be read.
    DatabaseUnusable
        If it holds tables of something else, or ours do not name one revision.
    """
    return None if is_absent(engine) else _current_revision(engine)


def refuse_newer(revision: str | None) -> None:
    """Refuse tables that were changed by a version which this program does not know.

    Raises
    ------
    DatabaseUnusable
        If they were.
    """
    known = {script.revision for script in scripts().walk_revisions()}
    if revision is not None and revision not in known:
        raise DatabaseUnusable(
            f"the database is of a newer version ({revision}, this program's is"
            f" {scripts().get_current_head()}): install the newer program, or restore the copy"
            " of the database from before"
        )


def _current_revision(engine: Engine) -> str | None:
    with own_errors(), reading(engine).connect() as connection:
        return revision_in(connection)


def revision_in(connection: Connection) -> str | None:
    """Read the revision of the tables that a connection leads to; raises as `revision_of`."""
    relations = relations_of(connection)
    owner = owner_of(relations)
    if owner is Owner.NOBODY:
        return None
    if owner is Owner.OTHERS:
        raise DatabaseUnusable(of_something_else(relations))
    revisions = MigrationContext.configure(connection).get_current_heads()
    if len(revisions) != 1:
        raise DatabaseUnusable(
            "expected one revision of the tables of the database (in alembic_version), got"
            f" {', '.join(sorted(revisions)) or 'none'}: restore a copy of the database"
        )
    return revisions[0]


@cache
def scripts() -> ScriptDirectory:
    """Give the migrations, read once a process: reading takes longer than most transactions."""
    return ScriptDirectory.from_config(alembic_config())


def alembic_config() -> Config:
    """Say where the migrations are: in folders within one, none of them too full to be read."""
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.set_main_option("recursive_version_locations", "true")
    return config


def address_of_still_file(file: Path) -> str:
    """Give the URI by which SQLite reads a file that nobody changes; empty if somebody may.

    On a read-only disk SQLite cannot make the files that it works with beside the database. It
    reads without them what lies still (``immutable``, https://sqlite.org/uri.html): where its log
    is not there, or empty. While a node works on it from another host it is never empty.
    """
    log = file.with_name(f"{file.name}-wal")
    is_still = file.exists() and not (log.exists() and log.stat().st_size)
    if not is_still or not _is_on_read_only_disk(file):
        return ""
    return f"{file.absolute().as_uri()}?mode=ro&immutable=1"


def _is_on_read_only_disk(file: Path) -> bool:
    try:
        return bool(os.statvfs(file.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _read_still_file(
    _dialect: object, entry: ConnectionPoolEntry, where: list[str], how: dict[str, Any]
) -> DBAPIConnection | None:
    """Connect to a file that lies still on a read-only disk; else leave it to SQLAlchemy."""
    address = address_of_still_file(Path(where[0]))
    if not address:
        return None
    entry.info[STILL] = True
    return cast(DBAPIConnection, sqlite3.connect(address, uri=True, **how))


def _leave_still_file(_connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
    """Keep no connection to a file that lies still: its disk may be mounted for writing."""
    if entry.info.pop(STILL, False):
        entry.invalidate()


def _say_read_only_disk(context: ExceptionContext) -> BaseException | None:
    """Name a read-only disk as what it is, whatever SQLite makes of it."""
    name = getattr(context.original_exception, "sqlite_errorname", "")
    file = context.engine.url.database if context.engine is not None else None
    if file and name.startswith(OF_A_READ_ONLY_DISK) and _is_on_read_only_disk(Path(file)):
        return DatabaseUnavailable(f"{READ_ONLY_DISK.what} ({name}): {READ_ONLY_DISK.remedy}")
    return None


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Take transactions out of the driver's hands; see :func:`_begin_sqlite`."""
    if not isinstance(connection, sqlite3.Connection):
        raise TypeError(f"expected a connection of sqlite3, got {type(connection)}")
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _write_ahead(connection)
    for pragma in (
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",  # what is erased, or keyed, is nowhere in the file any more
    ):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Have a log written ahead, unless the file is of something else.

    Of a new database several programs may ask for that at a time: SQLite turns all but one of them
    away at once, whatever the busy timeout.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            if owner_of(relations_of(connection)) is Owner.OTHERS:
                return  # the file keeps for ever how its log is written
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as fault:
            if fault.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    """Begin as a writer, or as a reader where :func:`reading` says so."""
    writes = not connection.get_execution_options().get(READING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(
    idle_ms: int, connection: DBAPIConnection, _entry: ConnectionPoolEntry
) -> None:
    """Wait for a lock as long as SQLite would, not for ever; nor let others wait for us."""
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute(f"SET idle_in_transaction_session_timeout = {idle_ms}")
    cursor.close()
    connection.commit()


def _begin_postgresql(connection: Connection) -> None:
    """Let one who only reads take any time over what it has read: nobody waits for it.

    A lock that keeps a reader out is no writer's, but somebody's who changes the table: soon told.
    """
    if connection.get_execution_options().get(READING, False):
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {READER_LOCK_MS}")
