"""Requests that no browser with the console's pages sends are turned away."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dicom_node.console.access.guard import MAXIMUM_FORM, Guard
from dicom_node.console.access.people import Role
from dicom_node.console.context import post
from tests.support.console.console_under_test import HOST, PASSWORD, ConsoleUnderTest, form_token

FIELDS = {"name": "a-admin", "password": PASSWORD}
BODY_SECONDS = 0.05


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    yield made
    made.resources.close()


@pytest.mark.parametrize(
    "host", ["evil.example", f"{HOST}.evil.example", "", f"{HOST}@evil.example"]
)
def test_another_host_name_is_refused(console: ConsoleUnderTest, host: str) -> None:
    assert console.browser().get("/login", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["[::1", "[", "a b"])
def test_half_an_address_is_no_host_and_no_origin(console: ConsoleUnderTest, host: str) -> None:
    assert console.browser().get("/login", headers={"Host": host}).status_code == 421
    headers = {"Origin": f"https://{host}"}
    assert console.browser().post("/login", data=FIELDS, headers=headers).status_code == 403


def test_a_length_beside_a_transfer_encoding_does_not_count(console: ConsoleUnderTest) -> None:
    headers = {"Transfer-Encoding": "chunked", "Content-Length": "10"}
    assert console.browser().post("/login", data=FIELDS, headers=headers).status_code == 411


def test_a_port_behind_the_host_name_is_fine(console: ConsoleUnderTest) -> None:
    assert console.browser().get("/login", headers={"Host": f"{HOST}:8443"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": f"https://sub.{HOST}", "Sec-Fetch-Site": "same-site"},
        {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"},  # not by TLS
        {"Origin": f"https://{HOST}:444", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_change_from_another_page_is_refused(
    console: ConsoleUnderTest, headers: dict[str, str]
) -> None:
    assert console.browser().post("/login", data=FIELDS, headers=headers).status_code == 403


def test_a_forged_host_does_not_make_another_origin_ours(console: ConsoleUnderTest) -> None:
    headers = {"Host": "evil.example", "Origin": "https://evil.example"}
    assert console.browser().post("/login", data=FIELDS, headers=headers).status_code == 421


def test_a_change_without_the_token_of_the_session_is_refused(console: ConsoleUnderTest) -> None:
    browser, other = console.logged_in(Role.ADMIN), console.logged_in(Role.ADMIN)
    for token in ("", "x", form_token(other)):
        answer = browser.post("/logout", data={"form_token": token})
        assert answer.status_code == 403
    assert browser.get("/queue").status_code == 200


def test_the_token_may_come_in_a_header(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.VIEWER)
    headers = {"X-Form-Token": form_token(browser)}
    assert browser.post("/logout", data={"a": "b"}, headers=headers).status_code == 303


def test_an_oversized_form_is_refused_before_it_is_read(console: ConsoleUnderTest) -> None:
    fields = {**FIELDS, "more": "x" * MAXIMUM_FORM}
    assert console.browser().post("/login", data=fields).status_code == 413


def test_a_form_of_unknown_length_is_refused(console: ConsoleUnderTest) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"name=a-admin"

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = console.browser().post("/login", content=chunks(), headers=headers)
    assert answer.status_code == 411


def test_every_answer_has_the_security_headers(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.VIEWER)
    for page in ("/", "/no-such-page", "/static/console.css", "/series/1.2.3"):
        headers = browser.get(page).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "strict-transport-security" in headers


def test_no_page_has_script_or_style_inline(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    browser = console.logged_in(Role.ADMIN)
    for page in ("/", "/series/1.2.3", "/why?study=1.2.8", "/people", "/model", "/account"):
        text = browser.get(page).text.lower()
        assert "<style" not in text
        assert " style=" not in text
        assert " onclick=" not in text
        assert "javascript:" not in text
        assert text.count("<script") == text.count('<script src="/static/')
        assert "http://" not in text.replace(page, "")
        assert "//cdn" not in text


@pytest.mark.parametrize("path", ["/static/../context.py", "/static/%2e%2e/context.py", "/static/"])
def test_no_file_beside_the_static_ones_is_given(console: ConsoleUnderTest, path: str) -> None:
    assert console.browser().get(path).status_code in {303, 404}


def long_answer(_: Request) -> Response:
    """Stream for longer than a part of a body is waited for."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(4):
            await asyncio.sleep(BODY_SECONDS)
            yield b"piece "

    return StreamingResponse(pieces())


@contextmanager
def guarded() -> Iterator[str]:
    """Serve a page that takes a form; give its host and port."""
    app = Starlette(routes=[post("/", long_answer)])
    guard = Guard(app=app, hosts={"127.0.0.1"}, is_secure=False, body_seconds=BODY_SECONDS)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(guard, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def test_an_answer_takes_as_long_as_it_takes() -> None:
    with guarded() as host:
        answer = httpx.post(f"http://{host}/", data=FIELDS, headers={"Origin": f"http://{host}"})
    assert answer.content == b"piece " * 4


def test_a_body_that_stops_coming_is_not_waited_for() -> None:
    with guarded() as host, socket.create_connection(("127.0.0.1", int(host[10:]))) as caller:
        head = f"POST / HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nContent-Length: 9\r\n"
        kind = "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        caller.sendall(f"{head}{kind}name".encode())
        assert caller.recv(100).startswith(b"HTTP/1.1 400")
