"""haproxy itself names senders, by both versions of the PROXY protocol, and checks our port."""

from __future__ import annotations

import csv
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.node_process import free_port, wait_until
from tests.support.peers.balancer import BALANCER
from tests.support.peers.sink import RememberingSink
from tests.support.peers.wire_client import WireClient
from tests.support.reception import listening

ACCEPTED, REJECTED = 2, 3  #: PDU types
SCANNER, STRANGER = "127.0.0.5", "127.0.0.6"
CONFIGURATION = """\
global
    stats socket {folder}/stats
defaults
    mode tcp
    timeout connect 5s
    timeout client 90s
    timeout server 90s
frontend dicom
    bind 127.0.0.1:{port}
    default_backend receivers
backend receivers
    source {balancer}
    server a 127.0.0.1:{target} check inter 100ms {version}
"""


@dataclass
class Haproxy:
    folder: Path
    memory: RememberingSink
    address: tuple[str, int]

    def answer_from(self, source: str) -> int:
        """Ask for an association from an address; return the type of the answer."""
        client = WireClient(self.address)
        with socket.create_connection(self.address, 20, source_address=(source, 0)) as connection:
            client.socket = connection
            return client.associate()

    def has_checked(self) -> bool:
        """Say whether it has found our port in order."""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as statistics:
            statistics.connect(str(self.folder / "stats"))
            statistics.sendall(b"show stat\n")
            rows = csv.DictReader(statistics.makefile().read().lstrip("# ").splitlines())
            return any(row["check_status"] == "L4OK" for row in rows)
        return False


@pytest.fixture(params=["send-proxy", "send-proxy-v2"])
def haproxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Haproxy]:
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("not installed: haproxy")
    memory, port = RememberingSink(), free_port()
    with listening(memory, callers=[f"SCANNER@{SCANNER}"], balancers=[BALANCER]) as (_, target):
        file = tmp_path / "haproxy.cfg"
        file.write_text(
            CONFIGURATION.format(
                folder=tmp_path,
                port=port,
                balancer=BALANCER,
                target=target,
                version=request.param,
            )
        )
        running = subprocess.Popen([program, "-f", str(file), "-db"])
        made = Haproxy(tmp_path, memory, ("127.0.0.1", port))
        wait_until(made.has_checked, seconds=20, what="a health check")
        yield made
        running.terminate()
        running.wait(20)


def test_senders_are_known_by_their_own_addresses_and_health_checks_leave_no_trace(
    haproxy: Haproxy,
) -> None:
    assert haproxy.memory.refused == []
    assert haproxy.answer_from(SCANNER) == ACCEPTED
    assert haproxy.answer_from(STRANGER) == REJECTED
    assert haproxy.memory.latest().address == STRANGER
