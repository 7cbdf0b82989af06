"""Faults of databases and their drivers, translated into storage's own errors.

A fault is taken for the data's own, so that whoever writes may go on without it, only where the
database says so; every other fault is the database's, and what was to be written is kept and tried
again. Texts of drivers may quote values (PostgreSQL's DETAIL quotes keys): of them only codes and
names of constraints are said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import exc
from sqlalchemy.engine.interfaces import ExceptionContext

from storage.errors import DatabaseDamaged, DatabaseRefused, DatabaseUnavailable, StorageError

MAXIMUM_DETAIL = 200  #: characters of a driver's text that are quoted


@dataclass(frozen=True, slots=True)
class Cause:
    """What is wrong with a database, what to do about it, and how a caller has to react."""

    what: str
    remedy: str
    error: type[StorageError] = DatabaseUnavailable


LOCKED = Cause("the database is locked", "what locks it must end first")
BUSY = Cause("the database has no connection left", "close others, or allow it more")
FULL = Cause("the disk of the database is full", "make room")
MEMORY = Cause("the database is short of memory", "give it more")
READ_ONLY = Cause(
    "the database cannot be written", "see who owns its files, and that it is no copy for reading"
)
READ_ONLY_DISK = Cause(
    "the disk of the database is a read-only file system",
    "see the log of the operating system why, and have it mounted for writing",
)
DISK = Cause("the disk of the database fails", "see the log of the operating system")
DAMAGED = Cause(
    "the database is damaged",
    "stop the node and restore a copy of the database",
    DatabaseDamaged,
)
CANNOT_OPEN = Cause(
    "the database cannot be opened", "see that its folder exists and belongs to the node's user"
)
AWAY = Cause(
    "the database cannot be reached",
    "see that it runs, and that database_url has its host, port, name, user and password",
)
LOST = Cause("the connection to the database was lost", "see that it runs")
CANCELLED = Cause(
    "the database broke off what was asked", "see its statement_timeout, and who cancels"
)
RIGHTS = Cause("the database does not let us in", "grant the user of database_url its rights")
OTHER_TABLES = Cause(
    "the tables of the database are not those of this program", "see dicom-node check"
)
CONFLICT = Cause("somebody else wrote to the database at the same time", "try again")
UNKNOWN = Cause("the database reports a fault", "see its log")
REFUSED = Cause("the database refuses what is to be written", "report this", DatabaseRefused)
MISUSED = Cause("the database was not used as it should be", "report this", DatabaseRefused)

#: Primary result codes of SQLite without their prefix (https://sqlite.org/rescode.html)
SQLITE: Mapping[str, Cause] = MappingProxyType(
    {
        "BUSY": LOCKED,
        "LOCKED": LOCKED,
        "PROTOCOL": LOCKED,
        "FULL": FULL,
        "NOMEM": MEMORY,
        "READONLY": READ_ONLY,
        "PERM": READ_ONLY,
        "AUTH": READ_ONLY,
        "IOERR": DISK,
        "CORRUPT": DAMAGED,
        "NOTADB": DAMAGED,
        "CANTOPEN": CANNOT_OPEN,
        "SCHEMA": CONFLICT,
        "ERROR": OTHER_TABLES,
        "CONSTRAINT": REFUSED,
        "MISMATCH": REFUSED,
        "TOOBIG": REFUSED,
        "RANGE": REFUSED,
    }
)
#: SQLSTATE, or its class of two characters (PostgreSQL 15, appendix A)
POSTGRESQL: Mapping[str, Cause] = MappingProxyType(
    {
        "08": LOST,
        "22": REFUSED,  # data exception
        "23": REFUSED,  # integrity constraint violation
        "25P03": LOST,  # idle_in_transaction_session_timeout: we stood still
        "25006": READ_ONLY,  # read_only_sql_transaction: a standby
        "28": RIGHTS,
        "3D": AWAY,
        "40": CONFLICT,  # serialization failure, deadlock
        "42": OTHER_TABLES,
        "42501": RIGHTS,  # insufficient_privilege
        "53": MEMORY,
        "53100": FULL,
        "53300": BUSY,
        "54": REFUSED,  # program limit exceeded: a value too long for an index
        "55": LOCKED,
        "57": LOST,  # operator intervention: starting up, shutting down
        "57014": CANCELLED,  # query_canceled
        "58": DISK,
        "XX": UNKNOWN,
        "XX001": DAMAGED,
        "XX002": DAMAGED,
    }
)
#: Errors of SQLAlchemy itself that pass
PASSING: Mapping[type[exc.SQLAlchemyError], Cause] = MappingProxyType(
    {
        exc.TimeoutError: BUSY,  # no connection of the pool became free
        exc.DisconnectionError: LOST,  # and InvalidatePoolError
        exc.ResourceClosedError: LOST,
        exc.PendingRollbackError: LOST,  # of a connection that was lost before
    }
)
#: Errors that name the data where the driver gives no code: it never asked the database
OF_THE_DATA = (exc.DataError, exc.IntegrityError, exc.ProgrammingError, exc.NotSupportedError)


@contextmanager
def own_errors() -> Iterator[None]:
    """Raise storage's errors in place of SQLAlchemy's.

    The traceback stays, the text of the driver does not: it may quote what was to be written.

    Raises
    ------
    DatabaseUnavailable
        If the database is locked, full, damaged or away; also if nobody knows.
    DatabaseRefused
        If it does not take what is to be written.
    """
    try:
        yield
    except exc.SQLAlchemyError as fault:
        raise own_error(fault).with_traceback(fault.__traceback__) from None


def own_error(fault: exc.SQLAlchemyError) -> StorageError:
    """Translate one error of SQLAlchemy into storage's own."""
    cause, detail = _diagnose(fault)
    return cause.error(f"{cause.what} ({detail}): {cause.remedy}")


def wrap_fault_of_value(context: ExceptionContext) -> BaseException | None:
    """Name a value that the driver cannot even encode as what it is: the statement's own fault."""
    fault = context.original_exception
    if isinstance(fault, OverflowError | UnicodeError):
        return exc.StatementError(type(fault).__name__, context.statement, None, fault)
    return None


def leave_read_only(context: ExceptionContext) -> None:
    """Open others in place of connections that cannot write: they would not for all their life.

    One of SQLite was opened while its file could only be read, one of PostgreSQL while the server
    said so (default_transaction_read_only), or it leads to one that is a copy by now.
    """
    fault = context.sqlalchemy_exception
    if fault is not None and _diagnose(fault)[0] is READ_ONLY:
        context.is_disconnect = True


def _diagnose(fault: exc.SQLAlchemyError) -> tuple[Cause, str]:
    """Find the cause of a fault, and what of the driver's words may be said."""
    if not isinstance(fault, exc.DBAPIError):
        passing = next((PASSING[kind] for kind in PASSING if isinstance(fault, kind)), None)
        of_the_value = REFUSED if isinstance(fault, exc.StatementError) else MISUSED
        return passing or of_the_value, type(fault).__name__
    driver_error = fault.orig
    if name := getattr(driver_error, "sqlite_errorname", None):
        return SQLITE.get(name.split("_")[1], UNKNOWN), name
    if state := getattr(driver_error, "sqlstate", None):
        cause = POSTGRESQL.get(state) or POSTGRESQL.get(state[:2], UNKNOWN)
        return cause, _detail(driver_error, state)
    return _without_code(fault)


def _without_code(fault: exc.DBAPIError) -> tuple[Cause, str]:
    """Diagnose what the driver found by itself: no connection, or a value it cannot hand over."""
    if fault.statement is None:  # the driver was connecting; libpq's text names no data
        text = next(iter(str(fault.orig).splitlines()), "")
        return AWAY, " ".join(text.split())[:MAXIMUM_DETAIL] or type(fault.orig).__name__
    if isinstance(fault, OF_THE_DATA) and not fault.connection_invalidated:
        return REFUSED, type(fault.orig).__name__
    return LOST if fault.connection_invalidated else UNKNOWN, type(fault.orig).__name__


def _detail(driver_error: BaseException | None, state: str) -> str:
    """Name a fault of PostgreSQL and the constraint it is about; both are names of the schema."""
    diagnostics = getattr(driver_error, "diag", None)
    constraint = getattr(diagnostics, "constraint_name", None)
    name = f"{type(driver_error).__name__} {state}"
    return f"{name}, {constraint}" if constraint else name
