"""The console behind nginx, as `deploy/proxy` sets it up; only ports and certificate are others."""

import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme
import uvicorn

from config.settings import Settings
from dicom_node.console.access.people import Role
from tests.support.console.console_under_test import HOST, PASSWORD, ConsoleUnderTest
from tests.support.node_process import free_port, wait_until
from tests.support.paths import ROOT

PROXY = ROOT / "deploy" / "proxy" / "nginx.conf"
SERVED = (
    "error_log stderr; daemon off; pid {place}/pid; events {{}} http {{ access_log off;\n{text}\n}}"
)


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    """A console that believes its proxy, whoever that lets in being an administrator."""
    made = ConsoleUnderTest(tmp_path)
    believed = {"proxy_user_header": "X-Remote-User", "group_roles": {"*": "admin"}}
    made.settings = Settings.model_validate(
        {
            "storage": made.settings.storage.model_dump(),
            "console": {"trusted_proxies": ("127.0.0.1",), **believed},
        }
    )
    yield made
    made.resources.close()


@pytest.fixture
def behind(console: ConsoleUnderTest) -> Iterator[int]:
    """Serve the console on a port of loopback."""
    port = free_port()
    settings = uvicorn.Config(
        console.app, port=port, log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, seconds=20, what="the console")
    yield port
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def browser(behind: int, tmp_path: Path) -> Iterator[httpx.Client]:
    """A browser that calls nginx by the name of the console."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("not installed: nginx")
    authority, port = trustme.CA(), free_port()
    signed = authority.issue_cert(HOST, "127.0.0.1")
    signed.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "pem"))
    text = PROXY.read_text()
    for old, new in (
        ("/etc/ssl/certs/console.example.org.pem", str(tmp_path / "pem")),
        ("/etc/ssl/private/console.example.org.key", str(tmp_path / "pem")),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("listen 80", f"listen 127.0.0.1:{free_port()}"),
        ("127.0.0.1:8443", f"127.0.0.1:{behind}"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "nginx.conf").write_text(SERVED.format(place=tmp_path, text=text))
    proxy = subprocess.Popen(
        [program, "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    )
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    headers = {"Host": HOST, "Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
    address = f"https://127.0.0.1:{port}"
    with httpx.Client(base_url=address, verify=trust, headers=headers, trust_env=False) as client:
        wait_until(lambda: answers(client), seconds=20, what="nginx")
        yield client
    proxy.terminate()
    proxy.wait(20)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/login").status_code == 200
    except httpx.TransportError:
        return False


def test_pages_come_with_the_headers_of_the_console(browser: httpx.Client) -> None:
    page = browser.get("/login")

    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "max-age" in page.headers["strict-transport-security"]
    assert "no-store" in page.headers["cache-control"]


def test_a_browser_is_not_believed_who_it_is(browser: httpx.Client) -> None:
    page = browser.get("/login", headers={"X-Remote-User": "mallory", "X-Remote-Groups": "pacs"})

    assert page.status_code == 200  # the form; one who is believed goes on
    assert "set-cookie" not in page.headers


def test_events_come_at_once(browser: httpx.Client) -> None:
    fields = {"name": f"a-{Role.VIEWER}", "password": PASSWORD}
    login = browser.post("/login", data=fields)
    assert login.status_code == 303, login.text
    cookie = re.split("[;,]", login.headers["set-cookie"])[0]

    with browser.stream("GET", "/events", headers={"Cookie": cookie}) as events:
        first = next(events.iter_text())  # nginx holds it back where it buffers: this times out

    assert events.status_code == 200
    assert first.startswith("retry:")
