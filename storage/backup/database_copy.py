"""Copy a database while it is worked on, and make one of a copy.

SQLite is copied by its online backup (https://sqlite.org/backup.html), PostgreSQL by its own
pg_dump and pg_restore, which see one moment of it, too. Of a copy of SQLite
either can be made.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine, text, update
from sqlalchemy.engine import URL, make_url

from storage.backup.copied_files import copy_file, for_us
from storage.backup.from_sqlite import fill_from_sqlite
from storage.database.engine import (
    address_of_still_file,
    is_absent,
    open_database,
    opened,
    reading,
    revision_of,
)
from storage.database.faults import own_errors
from storage.database.schema import Lease
from storage.errors import DatabaseUnavailable, DatabaseUnusable
from storage.files.disk import give_to_owner_of_folder, sync_directory

SQLITE_COPY = "database.sqlite"  #: name in a backup
POSTGRESQL_COPY = "database.pgdump"  #: name in a backup, pg_dump's custom format
PAGES = 4096  #: of SQLite that are copied at once; others write in between
FULL_DUMP = re.compile(rb"^pg_dump: error: could not write .*No space left on device", re.M)
DEBIAN = "/usr/lib/postgresql"  #: Debian keeps the programs of each version here
TELLING = re.compile(
    r"permission denied for [a-z ]+ [\w.]+|server version mismatch|No space left on device"
    r"|relation \"\w+\" already exists|Connection refused|password authentication failed"
)
"""What of the words of pg_dump and pg_restore is told: names of tables, never values."""


def copy_database(url: str, to: Path) -> tuple[str, str]:
    """Copy a database as it is at one moment; others may read and write meanwhile.

    Returns
    -------
    name, revision
        Name of the file in the folder `to`, and the revision of the tables.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        If it cannot be read, or pg_dump is not there.
    OSError
        If the copy cannot be written.
    """
    engine = open_database(url)
    try:
        revision = revision_of(engine)
        if revision is None:
            raise DatabaseUnusable("there is no database yet: expected one to be copied")
        if engine.dialect.name == "sqlite":
            os.close(for_us(str(to / SQLITE_COPY), os.O_CREAT | os.O_EXCL))
            _copy_sqlite(engine, to / SQLITE_COPY)
            return SQLITE_COPY, revision
        os.close(for_us(str(to / POSTGRESQL_COPY), os.O_CREAT | os.O_EXCL))
        _run("pg_dump", engine.url, f"--file={to / POSTGRESQL_COPY}", "--format=custom", "-Ox")
        return POSTGRESQL_COPY, revision
    finally:
        engine.dispose()


def size_of_copy(url: str) -> dict[str, int]:
    """Give the size of the copy of a database, bytes, by its name; none of PostgreSQL's.

    Nobody knows how large a dump becomes: it is compressed, and has no indexes.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        If the database cannot be read.
    """
    with opened(url) as engine:
        if engine.dialect.name != "sqlite" or is_absent(engine):
            return {}
        with own_errors(), reading(engine).connect() as connection:
            pages, size = (
                int(connection.execute(text(f"PRAGMA {name}")).scalar_one())
                for name in ("page_count", "page_size")
            )
        return {SQLITE_COPY: pages * size}


def check_copy(copy: Path) -> None:
    """Check that a copy can be opened: SQLite by its pages, a dump by its table of contents.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        If it cannot.
    """
    if copy.name == SQLITE_COPY:
        _check_sqlite(copy)
        return
    _run_program([program("pg_restore"), "--list", str(copy)], "pg_restore", {})


def require_empty(url: str) -> None:
    """Check that a database is there to be filled: no file of SQLite, no table of PostgreSQL.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        If it cannot be reached, or holds something.
    """
    engine = open_database(url)
    try:
        if engine.dialect.name == "sqlite":
            if engine.url.database and Path(engine.url.database).exists():
                revision_of(engine)
                raise DatabaseUnusable("expected no database at database_url, found one")
            return
        if revision_of(engine) is not None:
            raise DatabaseUnusable("expected an empty database at database_url, got tables")
    finally:
        engine.dispose()


def load_database(copy: Path, url: str, found: str) -> None:
    """Make the database of a copy; nobody holds it then, and it says what it is.

    Parameters
    ----------
    found
        As in :class:`storage.database.schema.Lease`: told at every start until it is mended.

    Raises
    ------
    DatabaseUnavailable, DatabaseUnusable
        If it cannot be written or holds something by now, which stays as it is; or the copy is one
        of PostgreSQL and the database of SQLite.
    """
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    if is_sqlite and copy.name != SQLITE_COPY:
        raise DatabaseUnusable(
            f"the backup holds {copy.name}: expected a database_url of PostgreSQL, got SQLite"
        )
    engine = open_database(url)
    try:
        if is_sqlite:
            _place_sqlite(copy, engine.url, found)
            return
        if copy.name == SQLITE_COPY:
            fill_from_sqlite(copy, engine)
        else:
            options = ("--no-owner", "--no-acl", "--exit-on-error", "--single-transaction")
            _run("pg_restore", engine.url, *options, str(copy))
        _say_found(engine, found)
    finally:
        engine.dispose()


def _place_sqlite(copy: Path, url: URL, found: str) -> None:
    """Make a file of SQLite beside its place, and give it its name if nobody has taken that."""
    file = Path(str(url.database))
    beside = file.with_name(f"{file.name}.restoring")
    beside.unlink(missing_ok=True)  # of a restore that was killed
    try:
        copy_file(copy, beside)
        with opened(url.set(database=str(beside)).render_as_string(hide_password=False)) as engine:
            _say_found(engine, found)
        give_to_owner_of_folder(beside)
        os.link(beside, file)
    except FileExistsError:
        raise DatabaseUnusable("expected no database at database_url, found one") from None
    finally:
        for end in ("", "-wal", "-shm"):
            beside.with_name(f"{beside.name}{end}").unlink(missing_ok=True)
    sync_directory(file.parent)


def _say_found(engine: Engine, found: str) -> None:
    with own_errors(), engine.begin() as connection:
        connection.execute(update(Lease).values(holder="", found=found))


def _copy_sqlite(engine: Engine, to: Path) -> None:
    source = Path(str(engine.url.database)).absolute()
    still, before = address_of_still_file(source), source.stat()
    try:
        with (
            closing(sqlite3.connect(still or f"{source.as_uri()}?mode=rw", uri=True)) as here,
            closing(sqlite3.connect(to)) as there,
        ):
            here.execute("BEGIN")  # one moment: writers would make it begin anew each time
            here.execute("SELECT 1 FROM sqlite_master").fetchall()
            here.backup(there, pages=PAGES)
            there.execute("PRAGMA journal_mode = DELETE")  # one file, to be copied anywhere
    except sqlite3.Error as fault:
        code = getattr(fault, "sqlite_errorname", "no code")
        if code == "SQLITE_FULL":  # the database is only read
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(to)) from None
        raise DatabaseUnavailable(f"the database cannot be copied: {code}") from None
    after = source.stat()
    if still and (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise DatabaseUnavailable(
            "somebody else has written the database while it was copied, though its disk is"
            " read-only here: make the backup where it is written"
        )


def _check_sqlite(copy: Path) -> None:
    """Look at every page, and leave no file beside it: nobody writes to a copy."""
    address = f"{copy.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as fault:
        finding = getattr(fault, "sqlite_errorname", "no code")
    if finding != "ok":
        raise DatabaseUnavailable("the copy of the database is damaged")


def program(name: str) -> str:
    """Find a program of PostgreSQL, the newest where there are several.

    Raises
    ------
    DatabaseUnusable
        If it is not installed.
    """
    versions = sorted(Path(DEBIAN).glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which(name)
    if found is None:
        raise DatabaseUnusable(
            f"{name} is not installed: it comes with PostgreSQL's client (postgresql-client)"
        )
    return found


def _run(name: str, url: URL, *options: str) -> None:
    """Run a program of PostgreSQL; the password is on no command line."""
    plain = url.set(drivername="postgresql", password=None)
    password = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    target = plain.render_as_string(hide_password=False)
    _run_program([program(name), f"--dbname={target}", *options], name, password)


def _run_program(command: list[str], name: str, environment: dict[str, str]) -> None:
    """Run a program; of what it says when it fails only what quotes no row is repeated.

    Raises
    ------
    DatabaseUnavailable
        If it fails.
    OSError
        If the disk is full that it writes to.
    """
    ended = subprocess.run(  # noqa: S603  # PostgreSQL's own programs, no shell
        command, env={**os.environ, **environment, "LC_ALL": "C"}, capture_output=True, check=False
    )
    if ended.returncode:
        if FULL_DUMP.search(ended.stderr):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        told = TELLING.search(ended.stderr.decode(errors="replace"))
        reason = f": {told[0]}" if told else ""
        raise DatabaseUnavailable(f"{name} failed with status {ended.returncode}{reason}")
