"""The process of the console: what waits for the audit server when it ends is sent, or told of."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from dicom_node.console.access.people import Role
from storage.files.identity_key import draw_identity_key
from storage.files.installation import draw_installation
from tests.support.console.console_under_test import PASSWORD, ConsoleUnderTest
from tests.support.node_process import free_port

UID = "1.2.3"


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """Make an installation with a result; its audit server is away."""
    made = ConsoleUnderTest(tmp_path)
    draw_identity_key(tmp_path)
    draw_installation(tmp_path)
    made.analyse(UID)
    made.resources.close()
    (tmp_path / "results").mkdir(exist_ok=True)
    (tmp_path / "results" / UID).write_bytes(b"report")
    url = made.settings.storage.database_url
    path = tmp_path / "node.ini"
    path.write_text(
        f"[storage]\nfolder = {tmp_path}\ndatabase_url = {url}\n[console]\nport = {free_port()}\n"
        f"[audit]\nsyslog = 127.0.0.1:{free_port()}\nprotocol = tcp\n"
    )
    return path


def download(ini: Path) -> None:
    base = f"http://127.0.0.1:{re.findall('port = ([0-9]+)', ini.read_text())[0]}"
    with httpx.Client(base_url=base, headers={"Origin": base}) as browser:
        fields = {"name": f"a-{Role.ADMIN}", "password": PASSWORD}
        assert browser.post("/login", data=fields).status_code == 303
        token = re.findall('name="form_token" value="(.*?)"', browser.get("/account").text)[0]
        fields = {"form_token": token, "what": "results"}
        assert browser.post(f"/series/{UID}/export", data=fields).status_code == 200


def test_what_the_audit_server_has_not_got_is_told_at_the_end(ini: Path) -> None:
    words = [sys.executable, "-m", "dicom_node", "console", "--config", str(ini)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            next(line for line in process.stderr if "console_ready" in line)
            download(ini)
            process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "audit_dropped" in told
