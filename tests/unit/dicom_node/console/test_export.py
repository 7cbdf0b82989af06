"""Downloads at the console: files of a series, case lists; by role, and recorded."""

import csv
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from config.settings import Settings
from dicom_node.audit.messages import AuditEvent
from dicom_node.audit.syslog import NullAudit
from dicom_node.cli.app import app
from dicom_node.console.access.people import Role
from dicom_node.console.app import make_app
from storage.console.changes import latest_changes
from storage.files.identity_key import draw_identity_key
from tests.support.console.console_under_test import HOST, ConsoleUnderTest, form_token

UID = "1.2.3"


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    draw_identity_key(tmp_path)
    made.analyse(UID)
    for name, content in (("incoming", b"image"), ("results", b"report")):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / UID).write_bytes(content)
    yield made
    made.resources.close()


def post(browser: TestClient, path: str, **fields: str) -> bytes:
    answer = browser.post(path, data={"form_token": form_token(browser), **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment")
    return answer.content


def archive(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        assert found.testzip() is None
        return {name: found.read(name) for name in found.namelist()}


def actions(console: ConsoleUnderTest) -> list[tuple[str, str, str, str]]:
    with console.resources.sessions.reading() as session:
        changes = latest_changes(session, 50)
    return [(one.user, one.action, one.subject, one.after) for one in changes if one.subject == UID]


def test_an_administrator_exports_results_with_images_or_without(
    console: ConsoleUnderTest,
) -> None:
    browser = console.logged_in(Role.ADMIN)
    results = archive(post(browser, f"/series/{UID}/export", what="results"))
    assert results == {"result-1/00001.dcm": b"report"}
    everything = archive(post(browser, f"/series/{UID}/export", what="everything"))
    assert everything == {"received/00001.dcm": b"image", "result-1/00001.dcm": b"report"}
    assert actions(console) == [
        ("a-admin", "export", UID, "2 files"),
        ("a-admin", "export", UID, "1 files"),
    ]


class Trail(NullAudit):
    """Keeps audit events."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)


def test_the_audit_trail_says_who_has_what_was_in_the_archive(console: ConsoleUnderTest) -> None:
    trail = Trail()
    console.app = make_app(replace(console.console, audit=trail), hosts={HOST})
    browser = console.logged_in(Role.ADMIN)
    post(browser, f"/series/{UID}/export", what="results")
    post(browser, f"/series/{UID}/export", what="everything")
    assert [dict(event.studies) for event in trail.events] == [
        {"1.2.8": {"1": 1}},
        {"1.2.8": {"1": 1, "1.2.840.10008.5.1.4.1.1.2": 1}},
    ]
    assert [one.user for one in trail.events[0].participants if one.is_requestor] == ["a-admin"]


def test_a_download_leaves_no_thread_of_the_audit_trail(console: ConsoleUnderTest) -> None:
    audit = {"syslog": "127.0.0.1:9", "protocol": "udp"}
    made = {"storage": console.settings.storage, "audit": audit}
    console.settings = Settings.model_validate(made)
    browser, before = console.logged_in(Role.ADMIN), audit_threads()
    post(browser, f"/series/{UID}/export", what="results")
    assert audit_threads() == before


def test_nor_does_the_command_that_copies_the_images_of_cases(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    reader = console.logged_in(Role.READER)
    fields = {"form_token": form_token(reader), "answer": "agree", "result": f"key-{UID}"}
    assert reader.post(f"/series/{UID}/answer", data=fields).status_code == 303
    ini, storage = tmp_path / "node.ini", console.settings.storage
    ini.write_text(
        f"[storage]\nfolder = {storage.folder}\ndatabase_url = {storage.database_url}\n"
        "[audit]\nsyslog = 127.0.0.1:9\nprotocol = udp\n"
    )
    words, before = (
        ["feedback", "--csv", tmp_path / "c.csv", "--images", tmp_path / "out"],
        audit_threads(),
    )
    answer = CliRunner().invoke(app, [*map(str, words), "--config", str(ini)])
    assert answer.exit_code == 0, answer.output
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2
    assert audit_threads() == before


def audit_threads() -> int:
    return sum(thread.name == "audit" for thread in threading.enumerate())


def test_what_is_missing_is_told_in_the_archive_and_nothing_is_no_archive(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    browser = console.logged_in(Role.ADMIN)
    (tmp_path / "incoming" / UID).unlink()
    found = archive(post(browser, f"/series/{UID}/export", what="everything"))
    assert found.keys() == {"result-1/00001.dcm", "MISSING.txt"}
    assert found["MISSING.txt"].startswith(b"1 files")
    (tmp_path / "results" / UID).unlink()
    fields = {"form_token": form_token(browser), "what": "everything"}
    answer = browser.post(f"/series/{UID}/export", data=fields)
    assert answer.status_code == 409
    assert "Nothing of it is kept any more" in answer.text
    assert len(actions(console)) == 1


def test_files_name_the_patient_and_are_for_administrators_of_a_console_that_does(
    console: ConsoleUnderTest,
) -> None:
    for role in (Role.VIEWER, Role.READER):
        browser = console.logged_in(role)
        fields = {"form_token": form_token(browser), "what": "results"}
        assert browser.post(f"/series/{UID}/export", data=fields).status_code == 403
        assert "Export results" not in browser.get(f"/series/{UID}").text
    browser = console.logged_in(Role.ADMIN)
    assert "Export results" in browser.get(f"/series/{UID}").text
    hidden = {"storage": console.settings.storage, "console": {"show_patients": "no"}}
    console.settings = Settings.model_validate(hidden)
    fields = {"form_token": form_token(browser), "what": "results"}
    assert browser.post(f"/series/{UID}/export", data=fields).status_code == 403
    assert "Export results" not in browser.get(f"/series/{UID}").text
    assert actions(console) == []


def test_readers_get_the_cases_of_a_series_and_of_all(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.4")
    reader = console.logged_in(Role.READER)
    for uid in (UID, "1.2.4"):
        fields = {"form_token": form_token(reader), "answer": "agree", "result": f"key-{uid}"}
        assert reader.post(f"/series/{uid}/answer", data=fields).status_code == 303
    one = list(csv.DictReader(io.StringIO(post(reader, f"/series/{UID}/cases").decode())))
    assert [(row["series"], row["label"]) for row in one] == [(UID, "1")]
    every = csv.DictReader(io.StringIO(post(reader, "/performance/cases").decode()))
    assert [row["series"] for row in every] == [UID, "1.2.4"]
    assert actions(console)[0] == ("a-reader", "export cases", UID, "1 rows")

    viewer = console.logged_in(Role.VIEWER)
    for path in (f"/series/{UID}/cases", "/performance/cases"):
        assert viewer.post(path, data={"form_token": form_token(viewer)}).status_code == 403


def test_without_the_identity_key_no_cases_are_listed(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    (tmp_path / "identity-key").unlink()
    reader = console.logged_in(Role.READER)
    answer = reader.post("/performance/cases", data={"form_token": form_token(reader)})
    assert answer.status_code == 503
    assert "identity key" in answer.text
