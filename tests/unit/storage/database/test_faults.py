"""Faults of a database are told apart: the data's own, or one that may pass; and said plainly."""

import sqlite3
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import exc, insert, select, text

from storage.database.faults import POSTGRESQL, SQLITE, own_error
from storage.database.schema import Capability, Refusal
from storage.database.sessions import Sessions
from storage.errors import DatabaseDamaged, DatabaseRefused, DatabaseUnavailable, StorageError
from storage.series.quarantine_and_refusals import RefusalKind, record_refusal
from tests.support.databases import impatient_database, locked_database, migrated_database

NOW = datetime(2024, 5, 1, tzinfo=UTC)
PATIENT = "DOE^JANE"


def of_sqlite(name: str) -> sqlite3.Error:
    fault = sqlite3.OperationalError(f"said with {PATIENT}")
    fault.sqlite_errorname = name
    return fault


def wrapped(
    driver_error: Exception,
    kind: type[exc.DBAPIError] = exc.OperationalError,
    *,
    statement: str | None = "INSERT",
    lost: bool = False,
) -> exc.DBAPIError:
    return kind(statement, None, driver_error, connection_invalidated=lost)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("SQLITE_BUSY", DatabaseUnavailable, "locked"),
        ("SQLITE_BUSY_SNAPSHOT", DatabaseUnavailable, "locked"),
        ("SQLITE_LOCKED_SHAREDCACHE", DatabaseUnavailable, "locked"),
        ("SQLITE_PROTOCOL", DatabaseUnavailable, "locked"),
        ("SQLITE_FULL", DatabaseUnavailable, "make room"),
        ("SQLITE_READONLY_DBMOVED", DatabaseUnavailable, "cannot be written"),
        ("SQLITE_IOERR_FSYNC", DatabaseUnavailable, "disk of the database fails"),
        ("SQLITE_CORRUPT_INDEX", DatabaseDamaged, "damaged"),
        ("SQLITE_NOTADB", DatabaseDamaged, "damaged"),
        ("SQLITE_CANTOPEN_ISDIR", DatabaseUnavailable, "cannot be opened"),
        ("SQLITE_NOMEM", DatabaseUnavailable, "memory"),
        ("SQLITE_ERROR", DatabaseUnavailable, "tables"),
        ("SQLITE_SOMETHING_NEW", DatabaseUnavailable, "see its log"),
        ("SQLITE_CONSTRAINT_UNIQUE", DatabaseRefused, "refuses"),
        ("SQLITE_MISMATCH", DatabaseRefused, "refuses"),
        ("SQLITE_TOOBIG", DatabaseRefused, "refuses"),
    ],
)
def test_codes_of_sqlite(name: str, error: type[StorageError], words: str) -> None:
    own = own_error(wrapped(of_sqlite(name), exc.DatabaseError))

    assert type(own) is error
    assert words in str(own)
    assert name in str(own)
    assert PATIENT not in str(own)


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ("08006", DatabaseUnavailable, "connection"),
        ("25006", DatabaseUnavailable, "cannot be written"),
        ("28P01", DatabaseUnavailable, "let us in"),
        ("3D000", DatabaseUnavailable, "cannot be reached"),
        ("40001", DatabaseUnavailable, "at the same time"),
        ("40P01", DatabaseUnavailable, "at the same time"),
        ("42P01", DatabaseUnavailable, "tables"),
        ("42501", DatabaseUnavailable, "let us in"),
        ("53100", DatabaseUnavailable, "make room"),
        ("53300", DatabaseUnavailable, "no connection left"),
        ("55P03", DatabaseUnavailable, "locked"),
        ("57014", DatabaseUnavailable, "statement_timeout"),
        ("57P01", DatabaseUnavailable, "connection"),
        ("57P03", DatabaseUnavailable, "connection"),
        ("58030", DatabaseUnavailable, "disk of the database fails"),
        ("XX000", DatabaseUnavailable, "see its log"),
        ("XX001", DatabaseDamaged, "damaged"),
        ("22001", DatabaseRefused, "refuses"),
        ("22021", DatabaseRefused, "refuses"),
        ("23505", DatabaseRefused, "UniqueViolation 23505"),
        ("54000", DatabaseRefused, "refuses"),
    ],
)
def test_codes_of_postgresql(state: str, error: type[StorageError], words: str) -> None:
    driver_error = errors.lookup(state)(f"said\nDETAIL: Key (x)=({PATIENT}) is there")

    own = own_error(wrapped(driver_error, exc.DatabaseError))

    assert type(own) is error
    assert words in str(own)
    assert PATIENT not in str(own)


def test_only_what_a_database_says_of_the_data_is_the_datas_own() -> None:
    """All that psycopg knows: what nobody has thought of may pass, and is never given up."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, psycopg.Error) and kind.sqlstate:
            of_the_data = kind.sqlstate[:2] in {"22", "23", "54"}
            own = own_error(wrapped(kind(), exc.DatabaseError))
            assert isinstance(own, DatabaseRefused if of_the_data else DatabaseUnavailable)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (wrapped(psycopg.OperationalError("gone"), lost=True), DatabaseUnavailable),
        (wrapped(psycopg.InterfaceError("x"), exc.InterfaceError), DatabaseUnavailable),
        (wrapped(psycopg.InternalError("x"), exc.InternalError), DatabaseUnavailable),
        (wrapped(psycopg.Error("x"), exc.DBAPIError), DatabaseUnavailable),
        (wrapped(psycopg.DataError("NUL"), exc.DataError), DatabaseRefused),
        (wrapped(psycopg.ProgrammingError("x"), exc.ProgrammingError), DatabaseRefused),
        (
            wrapped(psycopg.ProgrammingError("x"), exc.ProgrammingError, lost=True),
            DatabaseUnavailable,
        ),
        (
            wrapped(psycopg.ProgrammingError("option"), exc.ProgrammingError, statement=None),
            DatabaseUnavailable,
        ),
        (exc.TimeoutError("the pool is empty"), DatabaseUnavailable),
        (exc.DisconnectionError("x"), DatabaseUnavailable),
        (exc.InvalidatePoolError("x"), DatabaseUnavailable),
        (exc.PendingRollbackError("x"), DatabaseUnavailable),
        (exc.ResourceClosedError("x"), DatabaseUnavailable),
        (exc.StatementError("x", "INSERT", None, ValueError("naive")), DatabaseRefused),
        (exc.InvalidRequestError("misused"), DatabaseRefused),
    ],
)
def test_faults_without_a_code(fault: exc.SQLAlchemyError, error: type[StorageError]) -> None:
    assert type(own_error(fault)) is error


def test_every_cause_says_what_to_do() -> None:
    for cause in {*SQLITE.values(), *POSTGRESQL.values()}:
        assert cause.what
        assert cause.remedy


def refusal(what: str, count: int = 1) -> dict[str, object]:
    return {"calling_ae": "CT1", "what": what, "reason": "x", "count": count, "last_at": NOW}


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    engine = migrated_database(tmp_path)
    yield Sessions(engine)
    engine.dispose()


@pytest.mark.database
@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([refusal(PATIENT), refusal(PATIENT)], id="twice"),
        pytest.param([refusal("x", count=2**70)], id="no column holds it"),
    ],
)
def test_a_value_that_cannot_be_written_is_the_datas_own(
    sessions: Sessions, rows: list[dict[str, object]]
) -> None:
    with pytest.raises(DatabaseRefused) as fault, sessions.begin() as session:
        session.execute(insert(Refusal), rows)

    assert PATIENT not in "".join(traceback.format_exception(fault.value))
    assert "\n" not in str(fault.value)


@pytest.mark.database
def test_a_table_that_is_gone_is_not_the_datas_fault(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(text("DROP TABLE refusal"))

    with pytest.raises(DatabaseUnavailable, match="tables"), sessions.begin() as session:
        session.execute(insert(Refusal), refusal("x"))


@pytest.mark.database
def test_a_locked_database_is_the_databases_fault(sessions: Sessions, tmp_path: Path) -> None:
    """`sessions` has made its tables."""
    impatient = Sessions(impatient_database(tmp_path))
    with (
        locked_database(tmp_path),
        pytest.raises(DatabaseUnavailable, match="locked"),
        impatient.begin() as session,
    ):
        session.execute(insert(Refusal), refusal("x"))
    with sessions.reading() as session:
        assert session.scalars(select(Refusal)).all() == []


@pytest.mark.database
def test_a_connection_that_is_for_reading_alone_is_not_kept(
    sessions: Sessions, database_kind: str
) -> None:
    """It would be for all its life: of a file or a server that could not be written for a while."""
    setting = {
        "sqlite": "PRAGMA query_only = ON",
        "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    }
    with sessions.begin() as session:
        session.execute(text(setting[database_kind]))

    with pytest.raises(DatabaseUnavailable, match="cannot be written"), sessions.begin() as session:
        session.execute(insert(Refusal), refusal("x"))
    with sessions.begin() as session:
        session.execute(insert(Refusal), refusal("x"))


@pytest.mark.database
def test_a_uid_that_is_no_text_is_the_datas_own(sessions: Sessions) -> None:
    row = {"destination": "PACS", "sop_class_uid": "\udc80", "transfer_syntax_uid": ""}
    with pytest.raises(DatabaseRefused), sessions.begin() as session:
        session.execute(insert(Capability), row | {"accepted": False, "at": NOW})


@pytest.mark.database
@pytest.mark.parametrize(
    ("sent", "kept"), [("C\0T", "C?T"), ("C\udc80T", "C?T"), ("é" * 5000, "é" * 300)]
)
def test_words_of_peers_are_taken_whatever_they_hold(
    sessions: Sessions, sent: str, kept: str
) -> None:
    for _ in range(2):
        with sessions.begin() as session:
            record_refusal(session, NOW, RefusalKind(calling_ae=sent, what=sent, reason=sent))

    with sessions.reading() as session:
        (row,) = session.scalars(select(Refusal))
    assert (row.calling_ae, row.what, row.reason, row.count) == (kept[:16], kept, kept, 2)
