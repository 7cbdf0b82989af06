"""A database of something else is told by every command in one sentence, and stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from config.reader import load
from dicom_node.assembly.resources import open_resources
from dicom_node.cli.exit_codes import ExitStatus
from storage.database.engine import opened
from storage.errors import DatabaseUnusable
from tests.support.databases import database_url
from tests.unit.dicom_node.cli.test_database_faults import (
    Ended,
    assert_said,
    call,
    ini,
    start_of_the_node,
    use,
)

__all__ = ["call", "ini"]  # fixtures

VERSION = "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"
PATIENTS = "CREATE TABLE patients (id INTEGER)"
COMMANDS = (["status"], ["status", "--stages"], ["doctor"], ["upgrade"], ["downgrade", "0001"])
OTHERS = {
    "a view named like a table of ours": ["CREATE VIEW series AS SELECT 1 AS id"],
    "a revision of our own": [PATIENTS, VERSION, "INSERT INTO alembic_version VALUES ('0030')"],
}


@pytest.fixture
def fill(ini: Path, tmp_path: Path) -> Callable[[list[str]], str]:
    """Make the database something else's; return its URL."""

    def write(statements: list[str]) -> str:
        url = database_url(tmp_path, empty=True)
        use(ini, url)
        with opened(url) as database, database.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        return url

    return write


def names(url: str) -> list[str]:
    with opened(url) as database:
        found = inspect(database)
        return sorted([*found.get_table_names(), *found.get_view_names()])


@pytest.mark.database
@pytest.mark.parametrize("statements", OTHERS.values(), ids=OTHERS)
def test_every_command_says_so_and_changes_nothing(
    ini: Path,
    call: Callable[..., Ended],
    fill: Callable[[list[str]], str],
    statements: list[str],
) -> None:
    url = fill(statements)
    before = names(url)
    sentence = f"the database holds tables of something else ({', '.join(before)}) and none of this"

    for words in COMMANDS:
        ended = call(*words)
        assert_said(ended, sentence)
        assert ended[0] == ExitStatus.FAULT
    for is_alone in (True, False):
        with pytest.raises(DatabaseUnusable) as refused:
            open_resources(load(ini), is_alone=is_alone)
        assert str(refused.value).startswith(sentence)
    assert names(url) == before


def test_neither_check_nor_start_takes_it_for_a_new_one(
    ini: Path, call: Callable[..., Ended], fill: Callable[[list[str]], str]
) -> None:
    url = fill([PATIENTS])

    for ended in (call("check"), start_of_the_node(ini)):
        assert ended[0] == ExitStatus.FAULT
        assert_said(ended, "the database holds tables of something else (patients) and none of")
        assert "give the node a database of its own" in ended[1]
    assert names(url) == ["patients"]
