"""The node's stop ends in its time, whatever hangs then."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.node.deadlines import STOP_SECONDS
from tests.support.node_process import INI, NodeProcess, free_port, wait_until
from tests.support.paths import ROOT

LENIENCE = 5.0  #: seconds, for a loaded machine; a lock is waited for 30 s
pytestmark = pytest.mark.slow


@pytest.fixture
def node(tmp_path: Path, pacs: StandInPacs) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path, free_port())
    node.ini.write_text(INI.format(port=node.port, pacs_port=pacs.port, quiet=0.5, more=""))
    with (node.folder / "node.log").open("a") as log:
        node.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.support.light_node", str(node.ini)],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    wait_until(node.answers, seconds=60, what="the node's start")
    yield node
    if node.process.poll() is None:
        node.kill()


def test_somebody_else_holds_the_lock_of_the_database(node: NodeProcess) -> None:
    with closing(sqlite3.connect(node.folder / "data" / "node.sqlite")) as other:
        other.isolation_level = None
        other.execute("PRAGMA busy_timeout = 30000")
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        node.stop()
        took = time.monotonic() - began
    assert took < STOP_SECONDS + LENIENCE, f"{took:.1f} s\n{node.log()}"
