"""Tables of this program are told from those of something else; what a site adds does no harm."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from storage.backup.database_copy import require_empty
from storage.database.engine import is_migrated, migrate, open_database, revision_of
from storage.database.own_tables import FIRST, Owner, Relation, owner_of
from storage.database.revisions import TABLES, examine, newest
from storage.errors import DatabaseUnusable
from tests.support.databases import database_url, migrated_database
from tests.unit.storage.database.test_migrations import migrate_to

OURS = [Relation(name, is_table=True) for name in sorted(FIRST)]
ARCHIVE = [Relation(name, is_table=True) for name in ("instance", "patient", "series", "study")]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(database_url(tmp_path, empty=True))
    yield engine
    engine.dispose()


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Engine]:
    engine = migrated_database(tmp_path)
    yield engine
    engine.dispose()


def write(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.mark.parametrize(
    ("relations", "owner"),
    [
        ([], Owner.NOBODY),
        (OURS, Owner.US),
        ([*OURS, Relation("v_report", is_table=False)], Owner.US),
        ([*OURS, *ARCHIVE], Owner.US),
        (OURS[1:], Owner.US),  # one was lost
        (ARCHIVE, Owner.OTHERS),  # two of its names are ours as well
        ([Relation(one.name, is_table=False) for one in OURS], Owner.OTHERS),
        ([Relation("series", is_table=False)], Owner.OTHERS),
        ([Relation("alembic_version", is_table=True)], Owner.OTHERS),
    ],
)
def test_the_first_tables_decide(relations: list[Relation], owner: Owner) -> None:
    assert owner_of(relations) is owner


@pytest.mark.database
def test_the_first_tables_are_those_of_the_first_revision_and_of_today(engine: Engine) -> None:
    migrate_to(engine, "0001")

    assert {*inspect(engine).get_table_names()} == {*FIRST, "alembic_version"}
    assert {*TABLES.tables} > FIRST
    assert revision_of(engine) == "0001"


@pytest.mark.database
def test_no_table_of_ours_comes_among_those_of_something_else(
    engine: Engine, tmp_path: Path
) -> None:
    write(engine, *(f"CREATE TABLE {name} (id INTEGER)" for name in ("a", "b", "c", "d", "e")))

    for refused in (migrate, is_migrated, revision_of, examine):
        with pytest.raises(DatabaseUnusable, match=r"something else \(a, b, c and 2 more\)"):
            refused(engine)
    with pytest.raises(DatabaseUnusable, match=r"something else \(a, b, c and 2 more\)"):
        require_empty(database_url(tmp_path))

    assert len(inspect(engine).get_table_names()) == 5


@pytest.mark.database
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",  # no revision yet
        "INSERT INTO alembic_version VALUES ('0030')",  # by chance one of ours
        "INSERT INTO alembic_version VALUES ('ae1027a6acf')",
        "INSERT INTO alembic_version VALUES ('0030'), ('0031')",
    ],
)
def test_a_revision_of_something_else_is_none_of_ours(engine: Engine, statement: str) -> None:
    version = "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"
    write(engine, version, statement)

    for refused in (migrate, revision_of, examine):
        with pytest.raises(DatabaseUnusable, match=r"something else \(alembic_version\)"):
            refused(engine)


def test_a_file_of_something_else_keeps_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "other.sqlite"
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE patients (id INTEGER)")
    other.close()
    before = file.read_bytes()

    engine = open_database(f"sqlite:///{file}")
    with pytest.raises(DatabaseUnusable):
        migrate(engine)
    engine.dispose()

    assert file.read_bytes() == before


@pytest.mark.database
@pytest.mark.parametrize(
    ("statement", "got"),
    [
        ("DELETE FROM alembic_version", "none"),
        ("DROP TABLE alembic_version", "none"),
        ("INSERT INTO alembic_version VALUES ('0002')", "0002, 00"),
    ],
)
def test_our_tables_name_one_revision(ours: Engine, statement: str, got: str) -> None:
    write(ours, statement)

    for refused in (migrate, revision_of, examine):
        with pytest.raises(DatabaseUnusable, match=f"expected one revision .* got {got}"):
            refused(ours)


@pytest.mark.database
def test_what_a_site_adds_to_our_database_does_no_harm(ours: Engine) -> None:
    write(
        ours,
        "CREATE VIEW v_report AS SELECT series_instance_uid FROM series",
        "CREATE TABLE site_notes (id INTEGER)",
    )

    migrate(ours)
    examine(ours)
    assert revision_of(ours) == newest()


@pytest.mark.postgresql
@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_extensions_and_other_schemas_are_no_tables_of_something_else(
    database_kind: str, engine: Engine
) -> None:
    assert database_kind == engine.dialect.name
    write(
        engine,
        "CREATE EXTENSION pg_stat_statements",  # its views are in the schema of our tables
        "CREATE SCHEMA monitoring",
        "CREATE TABLE monitoring.patients (id INTEGER)",
    )
    assert inspect(engine).get_view_names() != []
    assert revision_of(engine) is None

    migrate(engine)
    assert revision_of(engine) == newest()


@pytest.mark.database
def test_the_check_finds_what_is_missing(ours: Engine) -> None:
    write(ours, "DROP TABLE console_token", "ALTER TABLE series DROP COLUMN reason")

    with pytest.raises(DatabaseUnusable, match=r"lacks .* \(console_token, series.reason\)"):
        examine(ours)


@pytest.mark.database
def test_of_an_older_revision_the_first_tables_must_be_there(engine: Engine) -> None:
    migrate_to(engine, "0001")
    examine(engine)
    write(engine, "DROP TABLE delivery")

    with pytest.raises(DatabaseUnusable, match=r"lacks .* \(delivery\)"):
        examine(engine)
