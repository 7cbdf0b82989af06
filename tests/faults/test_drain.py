"""A drained node takes nothing further, finishes what it has, and takes again after a start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config.reader import load
from dicom_node.cli.send import outgoing_files
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.health import read_condition
from tests.faults.test_backup import command, series, start, store
from tests.support.node_process import NodeProcess, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def verdicts(node: NodeProcess, folder: Path) -> set[Verdict]:
    return {one.verdict for _, one in send(outgoing_files(folder)[0], node.peer, calling_ae="A")}


def ready(node: NodeProcess) -> tuple[int, str]:
    words = [sys.executable, "-P", "-m", "dicom_node", "ready", "--config", str(node.ini)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout


def test_a_drained_node_finishes_and_refuses_until_its_next_start(
    make_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = make_node(pacs.port, quiet=3)
    start(node)
    first, second = series(tmp_path / "first", 1), series(tmp_path / "second", 2)
    store(node, first)  # not complete before its quiet time is over

    said = command("drain", "--wait", "--json", "--config", node.ini)

    assert json.loads(said) == {"draining": True, "done": True, "stays": []}
    assert node.states() == ["delivered"]
    assert verdicts(node, second) == {Verdict.POSTPONED}
    status, why = ready(node)
    assert (status, "drained by" in why) == (1, True)
    assert "takes instances again" in command("drain", "--end", "--config", node.ini)
    folder = load(node.ini).storage.folder
    wait_until(
        lambda: (condition := read_condition(folder)) is not None and condition.receiving,
        seconds=20,
        what="an end of draining",
    )
    store(node, second)
    command("drain", "--config", node.ini)
    assert node.stop() == 0
    start(node)
    store(node, first)  # a start takes instances, whatever was asked before
    wait_until(lambda: node.states() == ["delivered"] * 2, seconds=120, what="both series")
    assert node.stop() == 0
