"""Opening a database of SQLite; files of the package that migrations need."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

import storage
from config import load
from storage.database.engine import migrate, open_database


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'node.sqlite'}")
    yield engine
    engine.dispose()


def test_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "a folder? 100%41 #1 ü"
    (folder / "data").mkdir(parents=True)
    ini = folder / "node.ini"
    ini.write_text("[storage]\nfolder = data\n")
    engine = open_database(load(ini).database_url)
    migrate(engine)
    engine.dispose()
    assert (folder / "data" / "node.sqlite").exists()


def test_what_is_written_is_not_in_the_text_of_an_error(engine: Engine) -> None:
    with engine.begin() as connection, pytest.raises(OperationalError) as fault:
        connection.execute(text("INSERT INTO nowhere VALUES (:value)"), {"value": "DOE^JANE"})
    assert "DOE" not in str(fault.value)


def test_every_folder_of_migrations_is_a_package_that_a_wheel_holds() -> None:
    root = Path(storage.__file__).parent
    folders = {path.parent for path in root.rglob("*.py")}
    assert root / "migrations" / "versions" in folders
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 30000)],
)
def test_sqlite_is_opened_safely(engine: Engine, pragma: str, value: object) -> None:
    with engine.connect() as connection:
        assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value
