"""A process that stands still within a transaction: PostgreSQL ends it, so that others go on."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from storage.database.engine import changing_tables, open_database, reading
from storage.database.schema import Lease
from storage.database.sessions import Sessions
from storage.errors import DatabaseUnavailable
from tests.support.databases import database_url

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True),
]
PATIENCE = "SHOW idle_in_transaction_session_timeout"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_kind: str) -> Engine:
    monkeypatch.setattr("storage.database.engine.IDLE_TRANSACTION_MS", 200)
    monkeypatch.setattr("storage.database.engine.BUSY_TIMEOUT_MS", 20_000)
    return open_database(database_url(tmp_path))


def test_locks_of_one_who_stands_still_are_freed_and_he_writes_nothing(database: Engine) -> None:
    still, other = Sessions(database), Sessions(database)
    lock = select(Lease).with_for_update()

    def stand_still() -> None:
        with still.begin() as session:
            session.execute(text("LOCK TABLE lease"))
            with other.begin() as second:
                assert second.execute(lock).all() == []  # once the server has ended the first
            session.execute(lock)

    with pytest.raises(DatabaseUnavailable, match="connection"):
        stand_still()


def test_one_who_only_reads_may_take_any_time(database: Engine) -> None:
    with reading(database).begin() as connection:
        assert connection.execute(text(PATIENCE)).scalar() == "0"
    with database.begin() as connection:
        assert connection.execute(text(PATIENCE)).scalar() == "200ms"
    database.dispose()


def test_who_changes_tables_may_take_longer_than_receivers_among_themselves(tmp_path: Path) -> None:
    database = open_database(database_url(tmp_path), is_shared=True)
    with changing_tables(database) as config:
        connection = config.attributes["connection"]
        assert connection.execute(text(PATIENCE)).scalar() == "40s"
    with database.begin() as connection:
        assert connection.execute(text(PATIENCE)).scalar() == "4s"
    database.dispose()
