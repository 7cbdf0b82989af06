"""Filled tables go back to every earlier revision and come up again; what is lost was named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    Column,
    Engine,
    Enum,
    Integer,
    MetaData,
    String,
    TypeDecorator,
    insert,
    select,
)

from storage.database import (
    console_tables,  # noqa: F401  # its tables are part of the metadata
    report_tables,  # noqa: F401  # likewise
    watch_tables,  # noqa: F401  # likewise
    work_item_tables,  # noqa: F401  # likewise
)
from storage.database.engine import changing_tables, migrate, open_database, revision_of
from storage.database.revisions import downgrade, newest, steps
from storage.database.schema import Base
from storage.errors import DatabaseUnusable
from tests.support.databases import database_url

pytestmark = pytest.mark.database
NOW = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
VALUES: dict[type, object] = {bool: True, float: 0.25, datetime: NOW, bytes: bytes(24)}

DIGESTS = {
    ("series", "patient_key"),
    ("series", "patient_digest"),
    ("series", "birth_digest"),
    ("feedback", "patient_digest"),
    ("feedback", "birth_digest"),
}
NAMED_COUNT = ("work_item_series", "instances")  #: revision 0036 has the UIDs instead
"""Values that one step back (0019) empties; all others are as they were."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Tables of today, with a row in each."""
    engine = open_database(database_url(tmp_path, empty=True))
    migrate(engine)
    with engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            connection.execute(
                insert(table), {column.name: value(column) for column in table.columns}
            )
    yield engine
    engine.dispose()


def value(column: Column[Any]) -> object:
    """Make a value of a column: a foreign key has that of the only row that it can refer to."""
    if column.foreign_keys:
        (reference,) = column.foreign_keys
        return value(reference.column)
    kind = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
    if isinstance(kind, Enum):
        return next(iter(kind.enum_class or ()))
    if isinstance(kind, String):
        return f"x-{column.name}"[: kind.length or 64]
    if isinstance(kind, Integer):
        return len(column.name)
    return VALUES[kind.python_type]


def content(engine: Engine) -> dict[tuple[str, str], list[object]]:
    """Read every column of every table."""
    found: dict[tuple[str, str], list[object]] = {}
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        for table in tables.tables.values():
            if table.name == "alembic_version":
                continue
            rows = connection.execute(select(table)).mappings().all()
            for column in table.columns:
                found[table.name, column.name] = [row[column.name] for row in rows]
    return found


def test_every_step_back_and_up_again_keeps_what_it_does_not_name(engine: Engine) -> None:
    known = steps("0001", newest())
    before = content(engine)
    for step in reversed(known):
        downgrade(engine, f"{int(step.revision) - 1:04d}")
        below = content(engine)
        lost = DIGESTS if step.revision == "0019" else set()
        kept = set(below) - lost - {NAMED_COUNT}
        assert {name: below[name] for name in kept} == {name: before[name] for name in kept}, step
        before = below
    assert before["series", "series_instance_uid"]
    for step in known:
        migrate_one(engine, step.revision)
        above = content(engine)
        gone = {NAMED_COUNT} if step.revision == "0036" else set()
        kept = set(before) - gone
        assert {name: above[name] for name in kept} == {name: before[name] for name in kept}, step
        before = above
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def migrate_one(engine: Engine, revision: str) -> None:
    with changing_tables(engine) as config:
        command.upgrade(config, revision)


def test_back_to_the_first_revision_in_one_step_and_up_again(engine: Engine) -> None:
    before = content(engine)

    downgrade(engine, "0001")
    assert revision_of(engine) == "0001"
    first = set(content(engine))
    migrate(engine)

    after = content(engine)
    assert {name for name in first if after[name] != before[name]} == first & DIGESTS


def test_every_revision_names_what_is_lost_without_it() -> None:
    known = steps("0001", newest())

    assert [step for step in known if not re.fullmatch(r"[\w].{8,}[^.]", step.lost)] == []
    assert [step.revision for step in known] == sorted(step.revision for step in known)
    assert len(known) == int(newest()) - 1


@pytest.mark.parametrize(("low", "high"), [("0099", "0002"), ("0002", "base"), ("", "0002")])
def test_a_revision_that_is_none_is_refused(low: str, high: str) -> None:
    with pytest.raises(DatabaseUnusable, match=r"expected a revision of the tables from 0001 to 0"):
        steps(low, high)


def test_no_steps_lead_from_a_newer_to_an_older() -> None:
    assert steps("0005", "0003") == ()
    assert [step.revision for step in steps("0003", "0005")] == ["0004", "0005"]
