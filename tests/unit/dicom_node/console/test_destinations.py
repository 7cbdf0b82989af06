"""The page of destinations: pause, resume, and what waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.console.access.people import Role
from storage.console.changes import latest_changes
from storage.delivery.pauses import pauses
from storage.files.decision_log import FILE, read_decisions
from tests.support.console.console_under_test import ConsoleUnderTest, form_token

INI = "[destination PACS]\nae_title = PACS\nhost = 127.0.0.1\nport = 1\n"


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    ini = tmp_path / "node.ini"
    url = made.settings.database_url
    ini.write_text(f"[storage]\nfolder = {tmp_path}\ndatabase_url = {url}\n{INI}")
    made.use(ini)
    yield made
    made.resources.close()


def act(browser: TestClient, act: str, name: str = "PACS") -> str:
    fields = {"form_token": form_token(browser)}
    answered = browser.post(f"/destinations/{name}/{act}", data=fields)
    return answered.text or browser.get("/destinations").text


def test_a_destination_is_paused_and_resumed_with_who_did(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    browser = console.logged_in(Role.ADMIN)
    text = act(browser, "pause")
    assert "Paused" in text
    assert "by a-admin" in text
    assert "1 pending" in text
    act(browser, "pause")  # once more
    assert "Paused" not in act(browser, "resume")
    with console.resources.sessions.reading() as session:
        done = [(one.user, one.action, one.subject) for one in latest_changes(session, 9)]
    assert done[:2] == [("a-admin", "resume", "PACS"), ("a-admin", "pause", "PACS")]
    assert "pause" not in done[2]
    decided = [
        (one.what, one.by, one.facts) for one in read_decisions(console.settings.storage.folder)
    ]
    assert decided == [(what, "a-admin", {"destination": "PACS"}) for what in ("paused", "resumed")]


def test_a_decision_waits_for_the_disk_and_a_command_says_that_it_was_not_written(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    folder = console.settings.storage.folder
    (folder / FILE).mkdir()
    browser, config = console.logged_in(Role.ADMIN), ["--config", str(tmp_path / "node.ini")]

    act(browser, "pause")
    command = CliRunner().invoke(app, ["destinations", "resume", "PACS", *config])
    (folder / FILE).rmdir()
    act(browser, "pause")

    assert command.exit_code == 1
    assert "could not be written" in str(command.exception)
    assert [one.what for one in read_decisions(folder)] == ["paused", "paused"]


def test_what_cannot_be_reached_or_is_not_there_is_told(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.ADMIN)
    assert "PACS: " in act(browser, "probe")
    assert "there is no such destination" in act(browser, "pause", "OTHER")


def test_the_command_line_pauses_the_same_and_status_says_so(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    cli, config = CliRunner(), ["--config", str(tmp_path / "node.ini")]
    assert cli.invoke(app, ["destinations", "pause", "PACS", *config]).exit_code == 0
    assert "paused already" in str(
        cli.invoke(app, ["destinations", "pause", "PACS", *config]).exception
    )
    assert "paused since" in cli.invoke(app, ["destinations", "list", *config]).output
    assert "PACS is paused since" in cli.invoke(app, ["status", *config]).output
    assert '"by"' in cli.invoke(app, ["status", "--json", *config]).output
    assert "Paused" in console.logged_in(Role.VIEWER).get("/destinations").text
    assert cli.invoke(app, ["destinations", "resume", "PACS", *config]).exit_code == 0
    assert "expected the name of a destination" in str(
        cli.invoke(app, ["destinations", "pause", "OTHER", *config]).exception
    )
    with console.resources.sessions.reading() as session:
        assert pauses(session) == {}
