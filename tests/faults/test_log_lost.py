"""Nobody reads the log, or it cannot be written: the node goes on with all of its work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.health import read_condition
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.node_process import INI, NodeProcess, free_port, wait_until


@pytest.fixture
def series(tmp_path: Path) -> list[list[Path]]:
    made = []
    for number in (1, 2):
        datasets: list[Dataset] = phantom_datasets(
            make_phantom(PhantomSpec(slices=4, size=32)), seed=number
        )
        write_series(datasets, tmp_path / f"series{number}")
        made.append(sorted((tmp_path / f"series{number}").glob("*.dcm")))
    return made


@pytest.fixture
def node(tmp_path: Path, pacs: StandInPacs) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path, free_port())
    node.ini.write_text(INI.format(port=node.port, pacs_port=pacs.port, quiet=0.5, more=""))
    yield node
    if node.process is not None and node.process.poll() is None:
        node.kill()


def start(node: NodeProcess, stderr: int) -> None:
    """Start a node without networks, with its log at a descriptor."""
    command = [sys.executable, "-m", "tests.support.light_node", str(node.ini)]
    node.process = subprocess.Popen(command, stdout=stderr, stderr=stderr)
    wait_until(node.answers, seconds=60, what="the node's start")


def deliver(node: NodeProcess, slices: list[Path], *, series: int) -> None:
    for _, outcome in send([OutgoingFile.of(path) for path in slices], node.peer, calling_ae="CT1"):
        assert outcome.verdict is Verdict.ACCEPTED
    wait_until(
        lambda: node.states() == ["delivered"] * series, seconds=60, what="the delivery of all"
    )


def told(node: NodeProcess) -> list[str]:
    condition = read_condition(node.folder / "data")
    return [fault.part for fault in condition.faults] if condition else []


def test_the_reader_of_the_log_is_gone(node: NodeProcess, series: list[list[Path]]) -> None:
    reader, writer = os.pipe()
    start(node, writer)
    os.close(writer)
    deliver(node, series[0], series=1)

    os.close(reader)

    deliver(node, series[1], series=2)
    wait_until(lambda: "log" in told(node), seconds=20, what="the fault of the log in the status")
    assert node.stop() == 0


def test_the_disk_of_the_log_is_full(node: NodeProcess, series: list[list[Path]]) -> None:
    with Path("/dev/full").open("w") as full:
        start(node, full.fileno())
    deliver(node, series[0], series=1)
    wait_until(lambda: "log" in told(node), seconds=20, what="the fault of the log in the status")
    assert node.stop() == 0


def test_the_reader_of_the_log_sleeps(node: NodeProcess, series: list[list[Path]]) -> None:
    reader, writer = os.pipe()
    start(node, writer)
    os.close(writer)
    deliver(node, series[0], series=1)  # more lines than the pipe holds need not come: see below
    os.set_blocking(reader, False)
    assert node.process is not None
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(30) == 0
    os.close(reader)
