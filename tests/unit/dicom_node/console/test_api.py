"""The JSON API of the console: its document, its answers, its tokens."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx2 as httpx
import pytest
from pydicom import dcmread
from starlette.testclient import TestClient

from config.settings import Settings
from dicom_node.clock_watch import utc_now
from dicom_node.console.access.people import Role
from dicom_node.console.access.tokens import (
    LONGEST_DAYS,
    ApiLimits,
    RateLimit,
    new_program_token,
)
from dicom_node.console.api.app import make_api
from dicom_node.console.api.openapi import BASE, document
from dicom_node.console.api.operations import OPERATIONS
from dicom_node.console.app import make_app
from dicom_node.folder_lock import only_node
from dicom_node.health import Condition, PartFault, why_not_ready, write_condition
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.console.changes import Change, record_change
from storage.console.tokens import Token, add_token, find_token, list_tokens, revoke_token
from storage.files.identity_key import IDENTITY_KEY, draw_identity_key, read_identity_key
from storage.results.feedback import NewAnswer, NewDocument, enter_feedback
from storage.series.closings import record_closing
from storage.series.lifecycle import receiving
from storage.series.quarantine_and_refusals import RefusalKind, record_quarantine, record_refusal
from storage.states import SeriesState
from tests.support.console.console_under_test import HOST, NOW, PASSWORD, ConsoleUnderTest
from tests.support.console.json_schema import faults
from tests.support.console.openapi_document import FILE, text

CONFIDENTIAL = "Doe wrote 19640102"  #: in a reader's comment
REFUSED = RefusalKind(calling_ae="CT9", what="association", reason="not known", address="10.0.0.9")
DESTINATION = {
    "name": "PACS",
    "ae_title": "ARCHIVE",
    "host": "127.0.0.1",
    "port": 11113,
}


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    made.console = replace(
        made.console,
        api_limits=ApiLimits(
            requests=RateLimit(40, 1.0, lambda: made.steady),
            refused=RateLimit(3, 0.1, lambda: made.steady),
        ),
    )
    made.app = make_app(made.console, hosts={HOST})
    draw_identity_key(tmp_path)
    storage = made.settings.storage.model_dump()
    made.settings = Settings.model_validate({"storage": storage, "destinations": [DESTINATION]})
    yield made
    made.resources.close()


def new_token(console: ConsoleUnderTest, role: Role = Role.VIEWER, *, days: int = 30) -> str:
    """Enter a token, and give it."""
    made, key = new_program_token(), read_identity_key(console.console.folder)
    assert key is not None
    token = Token(
        name=f"{role}-{days}",
        role=role,
        digest=key.digest_of_token(made),
        created_at=NOW,
        expires_at=NOW + timedelta(days=days),
        created_by="somebody",
    )
    with console.resources.sessions.begin() as session:
        add_token(session, token)
    return made


def program(console: ConsoleUnderTest, token: str = "", address: str = "testclient") -> TestClient:
    """Open a client of the API; without a session, and without what a browser sends."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    place, caller = f"https://{HOST}{BASE}", (address, 50000)
    return TestClient(console.app, base_url=place, headers=headers, client=caller)


def with_everything(console: ConsoleUnderTest) -> None:
    """Enter something of every kind that the API answers with."""
    console.analyse("1.2.1", NOW)
    console.refuse("1.2.1")
    console.analyse("1.2.2", NOW - timedelta(minutes=1))
    console.end("1.2.3", SeriesState.UNSUITABLE, "not-axial", NOW - timedelta(days=2))
    console.receive("1.2.4", NOW - timedelta(days=3), sender="CT2")
    said = NewAnswer(
        answer="rejected",
        subjects=("1.2.1.8",),
        reason_code="disagree",
        reason_scheme="99CONSOLE",
        reason="wrong",
        comment=CONFIDENTIAL,
    )
    reader = NewDocument(
        document_uid="2.25.1", answers=(said,), observer="Dr Doe", role="console", said_at=NOW
    )

    class Source:
        series_instance_uid, study_instance_uid, calling_ae = "1.2.1", "1.2.8", ""

    with console.resources.sessions.begin() as session:
        enter_feedback(session, Source(), [reader], NOW)
        for path in ("quarantine/1", "quarantine/2"):
            record_quarantine(session, path, NOW, reason="no DICOM file", calling_ae="CT1")
        record_refusal(session, NOW, REFUSED)
        (opened,) = [one for one in receiving(session) if one.series_instance_uid == "1.2.4"]
        record_closing(session, opened, "regular-stack", 5.25, NOW)
        record_change(session, Change(at=NOW, user="a", action="login", subject="10.0.0.1"))


def test_the_document_in_docs_is_the_one_that_is_served(console: ConsoleUnderTest) -> None:
    assert FILE.read_text() == text(), "python -m tests.support.console.openapi_document"
    assert program(console).get("/openapi.json").json() == document()


def test_the_routes_are_those_of_the_document(console: ConsoleUnderTest) -> None:
    routes = {(route.path, frozenset(route.methods)) for route in make_api(console.console).routes}
    described = {(path, frozenset({"GET", "HEAD"})) for path in document()["paths"]}
    assert routes == described | {("/openapi.json", frozenset({"GET", "HEAD"}))}


def test_the_document_is_whole() -> None:
    found = document()
    assert found["openapi"].startswith("3.1.")
    references = set(re.findall(r'"\$ref": "#/components/(\w+)/(\w+)"', text()))
    components = found["components"]
    assert {(kind, name) for kind in ("schemas", "responses") for name in components[kind]} == (
        references
    )
    operations = [path["get"] for path in found["paths"].values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for path, described in found["paths"].items():
        in_path = {one["name"] for one in described["get"]["parameters"] if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))


@pytest.mark.database
def test_answers_are_as_the_document_says(console: ConsoleUnderTest) -> None:
    with_everything(console)
    client = program(console, new_token(console, Role.ADMIN))
    for operation in OPERATIONS:
        described = document()["paths"][operation.path]["get"]["responses"]
        for uid in ("1.2.1", "1.2.3", "1.2.4"):
            answer = client.get(operation.path.format(uid=uid))
            content = described[str(answer.status_code)]["content"]
            schema = content[answer.headers["content-type"]]["schema"]
            assert faults(answer.json(), schema, document()) == [], operation.path


@pytest.mark.database
def test_answers_hold_what_is_there(console: ConsoleUnderTest) -> None:
    with_everything(console)
    client = program(console, new_token(console, Role.ADMIN))

    status = client.get("/status?limit=2").json()
    assert status["states"] == {"encoded": 1, "failed": 1, "receiving": 1, "unsuitable": 1}
    assert [line["series_instance_uid"] for line in status["series"]] == ["1.2.1", "1.2.2"]
    assert status["running"] is False
    (pacs,) = client.get("/destinations").json()["destinations"]
    assert (pacs["name"], pacs["protocol"]) == ("PACS", "dicom")
    assert pacs["states"] == {"pending": 1, "refused": 1}
    senders = client.get("/senders").json()
    assert [one["calling_ae"] for one in senders["senders"]] == ["CT1", "CT2"]
    assert senders["refused"][0]["address"] == "10.0.0.9"
    quarantine = client.get("/quarantine").json()
    assert (quarantine["files"], quarantine["counts"][0]["files"]) == (2, 2)
    assert client.get("/waits").json()["senders"][0]["closed_by"] == {"regular-stack": 1}
    assert client.get("/changes").json()["changes"][0]["action"] == "login"
    series = client.get("/series/1.2.1").json()
    assert series["series"]["score"] == 0.75
    assert series["measures"]["lesions"][0]["side"] == "right"
    assert series["deliveries"][0]["reason"] == "A700"


@pytest.mark.database
def test_the_list_of_series_has_the_filters_of_the_worklist(console: ConsoleUnderTest) -> None:
    with_everything(console)
    client = program(console, new_token(console))

    def shown(query: str) -> list[str]:
        return [
            one["series_instance_uid"] for one in client.get(f"/series?{query}").json()["series"]
        ]

    assert shown("") == ["1.2.1", "1.2.2", "1.2.3", "1.2.4"]
    assert shown("state=receiving") == ["1.2.4"]
    assert shown("sender=CT2") == ["1.2.4"]
    assert shown("destination=PACS") == ["1.2.1", "1.2.2"]
    assert shown("flag=gaps-filled") == ["1.2.1", "1.2.2"]
    assert shown("study=1.2.9") == []
    assert shown(f"day={(NOW - timedelta(days=2)).astimezone().date()}") == ["1.2.3"]
    found, older = list[str](), ""
    while older is not None:
        page = client.get(f"/series?limit=1&before={older}").json()
        found += [one["series_instance_uid"] for one in page["series"]]
        older = page["older"]
    assert found == ["1.2.1", "1.2.2", "1.2.3", "1.2.4"]


NO_PARAMETERS = (
    "state=x",
    "day=yesterday",
    "day=9999-12-31",
    "day=0001-01-01",
    "before=x",
    "before=2026-01-01T00:00:00_1.2",
    "limit=0",
    "limit=501",
    "sender=a%00b",
    "patient_of=1.2.1",
    "accession_of=1.2.1",
)


def test_a_parameter_that_is_none_is_told(console: ConsoleUnderTest) -> None:
    client = program(console, new_token(console))
    for query in NO_PARAMETERS:
        answer = client.get(f"/series?{query}")
        assert (answer.status_code, answer.json()["status"]) == (400, 400), query
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_series_that_is_not_there_is_told(console: ConsoleUnderTest) -> None:
    client = program(console, new_token(console))
    for uid in ("1.2.99", "x", "%2e%2e", "1.2.3/x", "1.2.3%00"):
        answer = client.get(f"/series/{uid}")
        assert (answer.status_code, answer.json()["title"]) == (404, "Not Found"), uid


def test_no_answer_names_a_patient_or_what_readers_wrote(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    made = make_phantom(PhantomSpec(slices=1, size=32, lesions=0))
    (path,) = write_series(phantom_datasets(made, seed=1), tmp_path / "made")
    ds = dcmread(path)
    ds.PatientName, ds.PatientID, ds.AccessionNumber = "Doe^Jane", "P-4711", "A-17"
    ds.SeriesDescription = "of Jane Doe"
    ds.save_as(tmp_path / "kept.dcm")
    console.receive("1.2.9", path="kept.dcm", accession_key="k", patient_digest="d")
    with_everything(console)
    client = program(console, new_token(console, Role.ADMIN))
    for operation in OPERATIONS:
        for uid in ("1.2.1", "1.2.9"):
            told = client.get(operation.path.format(uid=uid)).text
            assert not re.search(r"doe|jane|4711|A-17|19640102", told, re.IGNORECASE), (
                operation.path
            )


PROTECTED = [operation.path.format(uid="1.2.1") for operation in OPERATIONS if operation.role]


def test_nothing_is_told_without_a_token(console: ConsoleUnderTest) -> None:
    for path in PROTECTED:
        answer = program(console).get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_session_of_a_browser_is_no_token(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.ADMIN)
    assert browser.get(f"{BASE}/status").status_code == 401
    assert "set-cookie" not in program(console, new_token(console)).get("/status").headers


def test_a_token_is_taken_from_one_header_and_from_no_address(console: ConsoleUnderTest) -> None:
    token = new_token(console)
    client = program(console)
    assert client.get(f"/status?access_token={token}").status_code == 401
    assert client.get("/status", headers={"Authorization": f"Basic {token}"}).status_code == 401
    twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert client.get("/status", headers=httpx.Headers(twice)).status_code == 401
    assert client.get("/status", headers={"Authorization": f"bearer {token}"}).status_code == 200


def test_a_token_reaches_no_page(console: ConsoleUnderTest) -> None:
    headers = {"Authorization": f"Bearer {new_token(console, Role.ADMIN)}"}
    answer = console.browser().get("/people", headers=headers)
    assert answer.headers["location"].startswith("/login")


def test_a_token_of_a_lesser_role_is_refused(console: ConsoleUnderTest) -> None:
    for role in (Role.VIEWER, Role.READER):
        assert program(console, new_token(console, role)).get("/changes").status_code == 403
    assert program(console, new_token(console, Role.ADMIN)).get("/changes").status_code == 200


def test_a_token_that_has_expired_or_was_revoked_is_refused(console: ConsoleUnderTest) -> None:
    revoked, short = new_token(console, Role.READER), new_token(console, Role.VIEWER, days=1)
    assert program(console, short).get("/status").status_code == 200
    console.clock.pass_by(days=1)
    assert program(console, short).get("/status").status_code == 401
    assert program(console, revoked).get("/status").status_code == 200
    with console.resources.sessions.begin() as session:
        revoke_token(session, "reader-30")
    assert program(console, revoked).get("/status").status_code == 401


@pytest.mark.database
def test_the_database_has_no_token_nor_a_digest_that_could_be_tried(
    console: ConsoleUnderTest,
) -> None:
    token = new_token(console)
    program(console, token).get("/status")
    other = draw_identity_key(console.console.folder)
    with console.resources.sessions.reading() as session:
        (kept,) = list_tokens(session)
        assert find_token(session, other.digest_of_token(token), NOW) is None
    assert token not in str(kept)
    assert kept.used_at == NOW
    assert program(console, token).get("/status").status_code == 401  # of another key


def test_without_the_identity_key_no_token_can_be_checked(console: ConsoleUnderTest) -> None:
    token = new_token(console)
    (console.console.folder / IDENTITY_KEY).unlink()
    answer = program(console, token).get("/status")
    assert (answer.status_code, "identity key" in answer.json()["detail"]) == (503, True)


def test_a_program_that_asks_too_often_waits(console: ConsoleUnderTest) -> None:
    client = program(console, new_token(console))
    answers = [client.get("/quarantine").status_code for _ in range(42)]
    assert answers == [200] * 40 + [429] * 2
    assert int(client.get("/quarantine").headers["retry-after"]) >= 1
    assert program(console, new_token(console, Role.ADMIN)).get("/status").status_code == 200
    console.steady += 1.1
    assert client.get("/quarantine").status_code == 200


def test_wrong_tokens_are_slowed_down_and_keep_no_right_one_out(console: ConsoleUnderTest) -> None:
    token, wrong = new_token(console), program(console, new_program_token())
    assert [wrong.get("/status").status_code for _ in range(5)] == [401] * 3 + [429] * 2
    assert program(console, token).get("/status").status_code == 200


def test_addresses_of_one_network_are_slowed_down_as_one(console: ConsoleUnderTest) -> None:
    callers = [
        program(console, new_program_token(), f"2001:db8::{number}") for number in range(1, 6)
    ]
    assert [one.get("/status").status_code for one in callers] == [401] * 3 + [429] * 2
    other = program(console, new_program_token(), "2001:db8:0:1::1")
    assert other.get("/status").status_code == 401


def test_ready_agrees_with_the_command(console: ConsoleUnderTest) -> None:
    folder = console.console.folder
    token = new_token(console, days=LONGEST_DAYS)
    stranger, known = program(console), program(console, token)
    answer = known.get("/ready")
    assert (answer.status_code, answer.json()["reason"]) == (503, "the node is not running")
    answer = stranger.get("/ready")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "reason": ""})
    console.clock.now = utc_now()
    fault = PartFault(part="disk", since=NOW, reason="full", receiving=False)
    with only_node(folder):
        write_condition(folder, Condition(written_at=console.clock.now))
        assert (stranger.get("/ready").status_code, stranger.get("/ready").json()["ready"]) == (
            200,
            True,
        )
        condition = Condition(written_at=console.clock.now, faults=(fault,))
        write_condition(folder, condition)
        expected = why_not_ready(condition, console.clock.now, running=True)
        assert known.get("/ready").json() == {"ready": False, "reason": expected}


def test_nothing_can_be_changed(console: ConsoleUnderTest) -> None:
    client = program(console, new_token(console, Role.ADMIN))
    ours = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin", "Content-Length": "0"}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert client.request(method, "/status").status_code == 403
        assert client.request(method, "/status", headers=ours).status_code == 405


def test_the_passwords_of_people_are_no_tokens(console: ConsoleUnderTest) -> None:
    assert program(console, PASSWORD).get("/status").status_code == 401
