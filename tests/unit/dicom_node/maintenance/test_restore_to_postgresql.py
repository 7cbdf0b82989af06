"""A backup of SQLite is restored into PostgreSQL: the way from one node to several receivers."""

import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import inspect, select

from config.reader import load
from config.settings import Settings
from dicom_node.assembly.resources import existing_resources
from dicom_node.database_lease import acquire
from dicom_node.maintenance.backup import make_backup
from dicom_node.maintenance.consistency import find
from dicom_node.maintenance.restore import restore_backup
from dicom_node.resources import Resources
from storage.backup.database_copy import SQLITE_COPY
from storage.backup.from_sqlite import fill_from_sqlite
from storage.database.engine import migrate, open_database, opened
from storage.database.lease import read_lease
from storage.database.schema import Base, Delivery, Lease
from storage.errors import DatabaseUnusable, StorageError
from storage.maintenance.consistency import Kind
from tests.support.databases import database_url
from tests.support.dispatcher_samples import NOW
from tests.support.servers.postgresql import Cluster
from tests.unit.dicom_node.maintenance.test_backup import content, resources, settings_file

__all__ = ["resources"]  # a fixture

pytestmark = pytest.mark.postgresql


@pytest.fixture
def empty(postgresql: Cluster) -> Iterator[str]:
    """URL of an empty database of PostgreSQL."""
    name = f"moved_{uuid.uuid4().hex}"
    with psycopg.connect(postgresql.address("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield postgresql.address(name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def backup(resources: Resources, tmp_path: Path) -> Path:
    ini = settings_file(tmp_path, database_url(resources.folder.root))
    return make_backup(load(ini), ini, tmp_path / "backups", NOW)


@pytest.fixture
def settings(tmp_path: Path, empty: str) -> Settings:
    """Settings of an empty place."""
    place = tmp_path / "elsewhere"
    (place / "data").mkdir(parents=True)
    return load(settings_file(place, empty))


def rows_of(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables but that of who holds the database."""
    with opened(url) as database, database.connect() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for name, table in Base.metadata.tables.items()
            if table is not Lease.__table__
        }


def test_all_rows_and_files_are_there_and_the_node_goes_on(
    resources: Resources, backup: Path, settings: Settings
) -> None:
    before = (backup / SQLITE_COPY).read_bytes()
    restore_backup(backup, settings)

    assert rows_of(settings.database_url) == rows_of(database_url(resources.folder.root))
    assert content(settings.storage.folder) == content(resources.folder.root)
    assert (backup / SQLITE_COPY).read_bytes() == before
    restored = existing_resources(settings)
    lease = acquire(restored, silent_seconds=0)
    assert [finding.kind for finding in find(restored)] == [Kind.COPY_RESTORED]
    lease.stop()
    restored.close()


def test_new_rows_get_numbers_that_are_free(backup: Path, settings: Settings) -> None:
    restore_backup(backup, settings)

    restored = existing_resources(settings)
    with restored.sessions.begin() as session:
        known = session.scalars(select(Delivery)).all()
        again = Delivery(
            **{
                column.name: getattr(known[0], column.name)
                for column in Delivery.__table__.columns
                if column.name not in {"id", "destination"}
            },
            destination="ANOTHER",
        )
        session.add(again)
        session.flush()
        assert again.id == max(one.id for one in known) + 1
    restored.close()


def test_what_the_other_database_does_not_take_leaves_it_empty(
    backup: Path, settings: Settings
) -> None:
    copy = backup / SQLITE_COPY
    with sqlite3.connect(copy) as connection:
        connection.execute("UPDATE delivery SET destination = ?", ("A" * 1000,))
    connection.close()

    database = open_database(settings.database_url)
    with pytest.raises(StorageError):
        fill_from_sqlite(copy, database)
    assert inspect(database).get_table_names() == []
    database.dispose()


def test_tables_of_another_version_are_not_moved(backup: Path, settings: Settings) -> None:
    copy = backup / SQLITE_COPY
    with sqlite3.connect(copy) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0035'")
    connection.close()

    database = open_database(settings.database_url)
    with pytest.raises(DatabaseUnusable, match="upgrade the node first, and make a new backup"):
        fill_from_sqlite(copy, database)
    assert inspect(database).get_table_names() == []
    database.dispose()


def test_rows_that_a_node_has_entered_meanwhile_stay(backup: Path, settings: Settings) -> None:
    database = open_database(settings.database_url)
    migrate(database)
    started = existing_resources(settings)
    lease = acquire(started)

    with pytest.raises(DatabaseUnusable, match="expected an empty database"):
        fill_from_sqlite(backup / SQLITE_COPY, database)

    with started.sessions.reading() as session:
        held = read_lease(session)
    assert held is not None
    assert held.is_held
    lease.stop()
    started.close()
    database.dispose()
