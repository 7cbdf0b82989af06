"""Destinations that take connections and say nothing hold up themselves alone."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.node.deadlines import STOP_SECONDS
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.reliability.tally import Tally
from tests.support.light_analysis import KINDS
from tests.support.node_process import INI, NodeProcess, free_port, wait_until

SILENT = 20  #: more than the node has threads for all jobs together, in any pool
DESTINATION = """
[destination {name}]
ae_title = SILENT
host = 127.0.0.1
port = {port}
timeout_seconds = 60
"""


@pytest.fixture
def silent() -> Iterator[list[int]]:
    """Ports that take connections, and answer nothing."""
    listening = [socket.create_server(("127.0.0.1", 0), backlog=50) for _ in range(SILENT)]
    yield [server.getsockname()[1] for server in listening]
    for server in listening:
        server.close()


@pytest.fixture
def node(tmp_path: Path, pacs: StandInPacs, silent: list[int]) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path, free_port())
    more = "".join(
        DESTINATION.format(name=f"SILENT{number}", port=port) for number, port in enumerate(silent)
    )
    ini = INI.format(port=node.port, pacs_port=pacs.port, quiet=0.5, more="") + more
    node.ini.write_text(ini)
    yield node
    if node.process is not None and node.process.poll() is None:
        node.kill()


def test_neither_the_good_one_nor_closing_nor_the_stop_waits(
    node: NodeProcess, pacs: StandInPacs, tmp_path: Path, tally: Tally
) -> None:
    with (node.folder / "node.log").open("w") as log:
        command = [sys.executable, "-m", "tests.support.light_node", str(node.ini)]
        node.process = subprocess.Popen(command, stdout=log, stderr=log)
    wait_until(node.answers, seconds=60, what="the node's start")
    for number in (1, 2):
        folder = tmp_path / f"series{number}"
        write_series(
            phantom_datasets(make_phantom(PhantomSpec(slices=4, size=32)), seed=number), folder
        )
        files = [OutgoingFile.of(path) for path in sorted(folder.glob("*.dcm"))]
        for _, outcome in send(files, node.peer, calling_ae="CT1"):
            assert outcome.verdict is Verdict.ACCEPTED
        wait_until(
            lambda: len(pacs.received) == number * len(KINDS),  # noqa: B023  # called at once
            seconds=45,  # less than the time-out of one destination
            what="the objects at the good destination",
        )

    began = time.monotonic()
    assert node.stop() == 0
    took = time.monotonic() - began
    assert took < STOP_SECONDS + 5, f"{took:.1f} s\n{node.log()}"  # it promises 10; 60 is the fault
    tally.note(
        "destinations that take connections and say nothing",
        f"{SILENT} of them beside a good one, time-out 60 s",
        f"2 series delivered to the good one meanwhile; stopped in {took:.0f} s",
    )
