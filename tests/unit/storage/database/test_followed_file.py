"""A process that only looks, and holds no lease, follows the file of the database."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.console.users import User, add_user, list_users
from storage.database.engine import migrate, open_database
from storage.database.sessions import Sessions
from storage.errors import DatabaseUnavailable, DatabaseUnusable


def made(folder: Path, *names: str) -> Path:
    """Make a database with users."""
    folder.mkdir()
    engine = open_database(f"sqlite:///{folder / 'node.db'}")
    migrate(engine)
    with Sessions(engine).begin() as session:
        for name in names:
            now = datetime(2026, 5, 1, tzinfo=UTC)
            add_user(session, User(name=name, role="viewer", password="x", created_at=now))  # noqa: S106  # none
    engine.dispose()
    return folder / "node.db"


def users(sessions: Sessions) -> list[str]:
    with sessions.reading() as session:
        return [user.name for user in list_users(session)]


def test_a_file_that_was_replaced_removed_or_restored_is_followed(tmp_path: Path) -> None:
    file, other = made(tmp_path / "a", "one"), made(tmp_path / "b", "two")
    sessions = Sessions(open_database(f"sqlite:///{file}"))
    sessions.follow()
    assert users(sessions) == ["one"]

    shutil.move(file, tmp_path / "kept.db")
    with pytest.raises(DatabaseUnavailable):
        users(sessions)
    assert not file.exists()  # none is made in its place

    shutil.copy(other, file)
    assert users(sessions) == ["two"]
    with sessions.begin() as session:
        session.execute(text("UPDATE console_user SET name = 'three'"))
    for ending in ("-wal", "-shm"):  # of the file before, as who restores a copy does
        file.with_name(f"{file.name}{ending}").unlink(missing_ok=True)
    shutil.move(tmp_path / "kept.db", file)
    assert users(sessions) == ["one"]
    sessions.close()


def test_a_database_of_another_version_in_its_place_is_told(tmp_path: Path) -> None:
    file, other = made(tmp_path / "a", "one"), tmp_path / "empty.db"
    sessions = Sessions(open_database(f"sqlite:///{file}"))
    sessions.follow()
    other.touch()
    shutil.move(other, file)
    for _ in range(2):
        with pytest.raises(DatabaseUnusable):
            users(sessions)
    sessions.close()
