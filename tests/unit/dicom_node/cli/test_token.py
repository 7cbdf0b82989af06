"""Tokens of programs, and the status of a node that a console elsewhere tells."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp
from typer.testing import CliRunner, Result

from dicom_node.cli.app import app
from dicom_node.clock_watch import utc_now
from dicom_node.console.access.tokens import new_program_token
from dicom_node.console.api.client import ConsoleClient
from dicom_node.console.app import make_app
from dicom_node.errors import NodeError
from storage.console.changes import latest_changes
from storage.errors import StorageError
from storage.files.identity_key import draw_identity_key
from storage.states import SeriesState
from tests.support.console.console_under_test import ConsoleUnderTest

cli = CliRunner()
HOST = "127.0.0.1"


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    draw_identity_key(tmp_path)
    yield made
    made.resources.close()


@pytest.fixture
def ini(console: ConsoleUnderTest) -> Path:
    storage = console.settings.storage
    path = storage.folder / "node.ini"
    path.write_text(
        f"[storage]\nfolder = {storage.folder}\ndatabase_url = {storage.database_url}\n"
    )
    return path


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def served(served_app: ASGIApp, authority: trustme.CA, folder: Path) -> Iterator[tuple[str, Path]]:
    """Serve an application by TLS: its address, and the file of who signed its certificate."""
    leaf = authority.issue_cert(HOST)
    leaf.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    with socket.create_server((HOST, 0)) as listening:
        file = str(folder / "server.pem")
        config = uvicorn.Config(
            served_app, log_config=None, lifespan="off", ssl_certfile=file, ssl_keyfile=file
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"https://{HOST}:{listening.getsockname()[1]}", folder / "authority.pem"
        finally:
            server.should_exit = True
            thread.join()


def typed(*words: object) -> Result:
    return cli.invoke(app, [str(word) for word in words])


def token_file(folder: Path, text: str = "") -> Path:
    path = folder / "token"
    path.write_text((text or new_program_token()) + "\n")
    return path


def test_a_token_is_shown_once_listed_and_revoked(console: ConsoleUnderTest, ini: Path) -> None:
    made = typed("token", "add", "Watch-1", "--days", 7, "--config", ini)
    assert made.exit_code == 0, made.output
    assert re.fullmatch(r"dicom-node_[\w-]{43}", made.stdout.strip())
    assert "watch-1 may ask as viewer until" in made.stderr

    listed = typed("token", "list", "--config", ini).output
    assert listed.startswith("watch-1: viewer, expires ")
    assert "never used" in listed
    again = typed("token", "add", "watch-1", "--config", ini)
    assert isinstance(again.exception, StorageError)
    assert typed("token", "revoke", "watch-1", "--config", ini).exit_code == 0
    assert typed("token", "list", "--config", ini).output == ""
    assert isinstance(typed("token", "revoke", "x", "--config", ini).exception, StorageError)

    with console.resources.sessions.reading() as session:
        changes = latest_changes(session, 9)
    assert [(one.action, one.subject) for one in changes] == [
        ("revoke token", "watch-1"),
        ("add token", "watch-1"),
    ]


def test_a_console_tells_what_the_node_tells_on_its_own_machine(
    console: ConsoleUnderTest, ini: Path, authority: trustme.CA, tmp_path: Path
) -> None:
    token = typed("token", "add", "watch", "--config", ini).stdout.strip()
    console.clock.now = utc_now()
    console.analyse("1.2.1")
    console.refuse("1.2.1")
    console.end("1.2.2", SeriesState.UNSUITABLE, "not-axial")
    with served(make_app(console.console, hosts={HOST}), authority, tmp_path) as (url, signer):
        words = ["--console", url, "--token-file", token_file(tmp_path, token)]
        words += ["--authorities", signer]
        for more in ([], ["--limit", 1], ["--waiting"], ["--waiting", "--json"]):
            here = typed("status", "--config", ini, *more)
            there = typed("status", *words, *more)
            assert there.exit_code == here.exit_code == 0, there.output
            assert there.output == here.output
        here = json.loads(typed("status", "--config", ini, "--json").output)
        there = json.loads(typed("status", *words, "--json").output)
    for told in (here, there):
        assert told.pop("at")
        assert told.pop("disk")["free_gb"] > 0
    assert there == here
    assert here["series"]


def test_why_a_console_tells_nothing_is_said(
    console: ConsoleUnderTest, authority: trustme.CA, tmp_path: Path
) -> None:
    known = token_file(tmp_path)

    def why(url: str, signer: Path | None) -> str:
        with pytest.raises(NodeError) as fault:
            ConsoleClient(url, known, signer).status(1)
        assert known.read_text().strip() not in str(fault.value)
        return str(fault.value)

    with served(make_app(console.console, hosts={HOST}), authority, tmp_path) as (url, signer):
        assert "not known there, was revoked, or has expired" in why(url, signer)
        assert "CERTIFICATE_VERIFY_FAILED" in why(url, None)
    assert "cannot be reached" in why(url, signer)  # nobody listens any more
    with served(make_app(console.console, hosts={"x"}), authority, tmp_path) as (url, signer):
        assert "[console] hosts" in why(url, signer)
    with served(Starlette(), authority, tmp_path) as (url, signer):
        assert "of an older version" in why(url, signer)
    others = [
        Route("/api/v1/status", lambda _: JSONResponse({"series": "secret"})),
        Route("/page/api/v1/status", lambda _: PlainTextResponse("a page")),
        Route("/teapot/api/v1/status", lambda _: PlainTextResponse("no", 418)),
        Route("/busy/api/v1/status", lambda _: JSONResponse({"detail": "\x1b[31mno"}, 503)),
    ]
    with served(Starlette(routes=others), authority, tmp_path) as (url, signer):
        assert "another version" in why(url, signer)
        assert "secret" not in why(url, signer)
        assert "no console" in why(f"{url}/page", signer)
        assert "answered 418" in why(f"{url}/teapot/", signer)
        assert "refused (503): ?[31mno" in why(f"{url}/busy", signer)


@pytest.mark.parametrize(
    ("url", "text", "expected"),
    [
        ("http://node.example.org", "", "expected https"),
        ("node.example.org", "", "such as https://host:8443"),
        ("https://me@node.example.org", "", "without user"),
        ("https://[::1", "", "such as https://host:8443"),
        ("https://node.example.org", "not a token", "dicom-node token add"),
    ],
)
def test_no_token_goes_where_it_does_not_belong(
    tmp_path: Path, url: str, text: str, expected: str
) -> None:
    with pytest.raises(NodeError, match=expected):
        ConsoleClient(url, token_file(tmp_path, text))


def test_the_token_of_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="expected a file with a token"):
        ConsoleClient("https://node.example.org", tmp_path / "absent")
    answer = typed("status", "--console", "https://node.example.org")
    assert "--console and --token-file together" in str(answer.exception)
