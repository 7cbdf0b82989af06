"""The page of settings: who changed them, and putting earlier ones back."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from config.editing import changed_text
from config.reader import read_text
from config.versions import digest, folder_of, versions, write_settings
from dicom_node.console.access.people import Role
from dicom_node.console.current_settings import CurrentSettings
from storage.console.changes import latest_changes
from tests.support.console.console_under_test import NOW, ConsoleUnderTest, form_token
from tests.support.databases import database_url

FIRST = "# kept\n[analysis]\nthreshold = 0.3\n"


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    ini = tmp_path / "dicom-node.ini"
    storage = f"[storage]\nfolder = {tmp_path}\ndatabase_url = {database_url(tmp_path)}\n"
    ini.write_text(FIRST + storage)
    made.use(ini)
    yield made
    made.resources.close()


def change(console: ConsoleUnderTest, key: str, value: str, section: str = "analysis") -> None:
    """Change a value, as a command does."""
    ini = ini_of(console)
    old = read_text(ini)
    new = changed_text(old, {(section, key): value})
    write_settings(ini, new, expected_digest=digest(old), by="root", at=NOW)


def ini_of(console: ConsoleUnderTest) -> Path:
    assert console.console.ini is not None
    return console.console.ini


def put_back(browser: TestClient, number: int, seen: str | None = None) -> tuple[int, str]:
    """Open the page that asks, and say yes."""
    page = browser.get(f"/settings/{number}").text
    asked = re.search(r'name="seen" value="([0-9a-f]+)"', page)
    fields = {"form_token": form_token(browser), "seen": seen or (asked[1] if asked else "")}
    answer = browser.post(f"/settings/{number}/restore", data=fields)
    return answer.status_code, answer.text


def test_a_change_is_shown_and_put_back_with_who_and_what(console: ConsoleUnderTest) -> None:
    before = ini_of(console).read_text()
    change(console, "threshold", "0.6")
    browser = console.logged_in(Role.ADMIN)
    shown = browser.get("/settings").text
    for words in ("root", "[analysis] threshold: 0.3 -&gt; 0.6", 'href="/settings/1"'):
        assert words in shown
    asked = re.sub(r"<[^>]*>|\s+", " ", browser.get("/settings/1").text)
    assert re.search(r"\[analysis\] threshold +0.6 +0.3", asked)

    code, told = put_back(browser, 1)
    assert code == 200
    assert "[analysis] threshold: 0.6 -&gt; 0.3" in told
    assert ini_of(console).read_text() == before
    assert [one.by for one in versions(ini_of(console))] == ["root", "a-admin"]
    with console.resources.sessions.reading() as session:
        done = latest_changes(session, 1)[0]
    assert (done.user, done.action, done.subject) == ("a-admin", "setting", "[analysis] threshold")
    assert (done.before, done.after) == ("0.6", "0.3")


def test_what_somebody_changed_meanwhile_is_not_undone_unseen(console: ConsoleUnderTest) -> None:
    change(console, "threshold", "0.6")
    browser = console.logged_in(Role.ADMIN)
    seen = digest(read_text(ini_of(console)))
    change(console, "threshold", "0.7")
    code, told = put_back(browser, 1, seen)
    assert code == 409
    assert "meanwhile" in told
    assert "threshold = 0.7" in ini_of(console).read_text()


def test_what_cannot_be_recorded_is_written_and_said(console: ConsoleUnderTest) -> None:
    change(console, "threshold", "0.6")
    change(console, "threads", "2")
    browser = console.logged_in(Role.ADMIN)
    trigger = (
        "CREATE TRIGGER full BEFORE INSERT ON console_change WHEN NEW.subject LIKE '%threshold'"
    )
    with console.resources.sessions.begin() as session:
        session.connection().exec_driver_sql(f"{trigger} BEGIN SELECT RAISE(ABORT, 'full'); END")
    code, told = put_back(browser, 1)
    assert code == 200
    assert "[analysis] threshold: 0.6 -&gt; 0.3" in told
    assert "could not be recorded" in told
    assert "threshold = 0.3" in ini_of(console).read_text()
    with console.resources.sessions.reading() as session:
        assert "setting" not in {one.action for one in latest_changes(session, 9)}


def test_a_change_is_told_in_the_language_of_the_page(console: ConsoleUnderTest) -> None:
    change(console, "threads", "2")
    browser = console.logged_in(Role.ADMIN)
    browser.headers["Accept-Language"] = "de"
    assert "threads: (Vorgabe) -&gt; 2" in browser.get("/settings").text
    assert "threads: 2 -&gt; (Vorgabe)" in put_back(browser, 1)[1]


def test_what_waits_for_a_restart_is_named(console: ConsoleUnderTest) -> None:
    change(console, "port", "11113", "node")
    told = put_back(console.logged_in(Role.ADMIN), 1)[1]
    assert "count from the next start of the node: [node] port" in told


def test_what_waits_for_a_start_of_the_console_is_named_as_that(console: ConsoleUnderTest) -> None:
    change(console, "hosts", "ct.example.org", "console")
    told = put_back(console.logged_in(Role.ADMIN), 1)[1]
    assert "count from the next start of the console: [console] hosts" in told
    assert "start of the node" not in told


def test_what_the_console_has_begun_with_stays_and_the_rest_is_taken_up(
    console: ConsoleUnderTest,
) -> None:
    current = CurrentSettings(ini_of(console))
    change(console, "show_patients", "no", "console")
    change(console, "threshold", "0.6")
    assert current().console.show_patients
    assert current().analysis.threshold == 0.6
    assert not CurrentSettings(ini_of(console))().console.show_patients


def test_a_damaged_copy_and_no_change_are_refused(console: ConsoleUnderTest) -> None:
    change(console, "threshold", "0.6")
    browser = console.logged_in(Role.ADMIN)
    assert browser.get("/settings/7").status_code == 404
    assert put_back(browser, 7)[0] == 404
    (copy,) = (one.path for one in versions(ini_of(console)))
    copy.chmod(0o600)
    copy.write_text("[analysis]\nthreshold = 0.1\n")
    code, told = put_back(browser, 1)
    assert code == 409
    assert "damaged" in told
    assert "threshold = 0.6" in ini_of(console).read_text()


def test_the_settings_of_now_offer_nothing_to_put_back(console: ConsoleUnderTest) -> None:
    change(console, "threshold", "0.6")
    change(console, "threshold", "0.3")
    asked = console.logged_in(Role.ADMIN).get("/settings/1").text
    assert "These are the settings of now." in asked
    assert "/settings/1/restore" not in asked


def test_secrets_are_not_shown(console: ConsoleUnderTest) -> None:
    change(console, "database_url", "sqlite:////tmp/hidden-words.sqlite3", "storage")
    browser = console.logged_in(Role.ADMIN)
    for page in ("/settings", "/settings/1"):
        shown = browser.get(page).text
        assert "[storage] database_url" in shown
        assert "hidden-words" not in shown


@pytest.mark.parametrize("role", [Role.VIEWER, Role.READER])
def test_settings_are_for_administrators(console: ConsoleUnderTest, role: Role) -> None:
    change(console, "threshold", "0.6")
    browser = console.logged_in(role)
    assert browser.get("/settings").status_code == 403
    assert browser.get("/settings/1").status_code == 403
    assert put_back(browser, 1, "0" * 64)[0] == 403
    assert "threshold = 0.6" in ini_of(console).read_text()


def test_earlier_settings_that_cannot_be_read_are_not_taken_for_none(
    console: ConsoleUnderTest,
) -> None:
    folder = folder_of(ini_of(console))
    folder.symlink_to(folder)
    browser = console.logged_in(Role.ADMIN)

    for page in ("/settings", "/thresholds"):
        shown = browser.get(page)
        assert shown.status_code == 200
        assert f"Earlier settings cannot be read: {folder}" in shown.text
        assert "Nothing was changed yet" not in shown.text
    assert browser.get("/settings/1").status_code == 409
