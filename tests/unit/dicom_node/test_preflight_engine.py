"""The sentences of `check` about an engine on other machines."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from config.reader import load
from dicom_node.assembly.engine import engine_of
from dicom_node.health import Health
from dicom_node.preflight.awaited import awaited
from dicom_node.preflight.faults import faults
from tests.support.fleet import Fleet, tend_until
from tests.support.node_process import free_port, wait_until

INI = """
[storage]
folder = data

[engine]
scheduler = tls://localhost:{port}
{more}
"""


@pytest.fixture
def files(tmp_path: Path) -> str:
    """Credentials for TLS, as lines of the INI file."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    return "certificate = cert.pem\nkey = key.pem\nauthorities = ca.pem\n"


def of_the_engine(tmp_path: Path, port: int, more: str = "") -> list[str]:
    ini = tmp_path / "node.ini"
    ini.write_text(INI.format(port=port, more=more))
    settings = load(ini)
    said = [*faults(settings), *awaited(settings)]
    return [sentence for sentence in said if sentence.startswith("[engine]")]


def test_a_scheduler_that_is_not_there_is_said_in_a_sentence(tmp_path: Path, files: str) -> None:
    port = free_port()
    assert of_the_engine(tmp_path, port, files) == [
        f"[engine] scheduler: no scheduler at tls://localhost:{port}: Connection refused"
    ]


def test_missing_files_for_tls_are_said(tmp_path: Path) -> None:
    (fault,) = of_the_engine(tmp_path, free_port())
    assert "certificate, key, authorities: expected the files for tls://" in fault


def test_some_of_the_files_are_not_enough(tmp_path: Path, files: str) -> None:
    (fault,) = of_the_engine(tmp_path, free_port(), files.replace("key = key.pem\n", ""))
    assert "expected all three, got certificate, authorities" in fault


def test_files_that_are_not_certificates_are_said(tmp_path: Path, files: str) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    (fault,) = of_the_engine(tmp_path, free_port(), files)
    assert "expected PEM files that belong together" in fault


@pytest.fixture
def plain_server() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_something_else_at_that_port_is_said(tmp_path: Path, files: str, plain_server: int) -> None:
    (fault,) = of_the_engine(tmp_path, plain_server, files)
    assert "scheduler at tls://localhost" in fault


@pytest.mark.slow
def test_a_worker_joins_by_tls_proves_itself_and_the_check_is_in_order(
    tmp_path: Path, files: str
) -> None:
    """The whole way as in the README: scheduler, `dicom-node worker`, `dicom-node check`."""
    fleet = Fleet(tmp_path)
    pem = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    fleet.start_scheduler(
        "--protocol",
        "tls",
        "--tls-ca-file",
        pem["ca"],
        "--tls-cert",
        pem["cert"],
        "--tls-key",
        pem["key"],
    )
    ini = tmp_path / "node.ini"
    ini.write_text(INI.format(port=fleet.port, more=files))
    command = [sys.executable, "-m", "dicom_node", "worker", "-c", str(ini), "--name", "gpu1"]
    with (tmp_path / "worker.log").open("w") as log:
        worker = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(
            lambda: "worker_joined" in (tmp_path / "worker.log").read_text(),
            seconds=120,
            what="the worker's joining",
        )
        assert of_the_engine(tmp_path, fleet.port, files) == []
        engine = engine_of(load(ini), Health())
        tend_until(engine, lambda: engine.slots == 1)  # version, folder, model, networks
        engine.close()
    finally:
        worker.terminate()
        assert worker.wait(60) == 0
        fleet.stop()


@pytest.mark.parametrize("missing", ["torch", "distributed"])
@pytest.mark.parametrize("command", ["check", "status"])
def test_a_missing_library_is_said_in_a_sentence(
    tmp_path: Path, missing: str, command: str
) -> None:
    ini = tmp_path / "node.ini"
    ini.write_text("[storage]\nfolder = data\n")
    code = (
        f"import sys; sys.modules[{missing!r}] = None;"
        f"sys.argv = ['x', {command!r}, '-c', {str(ini)!r}];"
        "from dicom_node.cli.app import main; main()"
    )

    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert "Traceback" not in answer.stderr
    if command == "check":
        assert missing in answer.stderr
