"""Receivers side by side: who may join, what is said of them, and one that stood still."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dicom_node.demo.stand_in_pacs import StandInPacs
from tests.reliability.receivers.light_process import LightNode
from tests.reliability.receivers.two_receivers import (
    Receivers,
    activations,
    make_receiver,
    make_series,
)
from tests.support.node_process import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.parametrize(
        "database_kind", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
    ),
]


def told(node: LightNode, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the settings of a receiver."""
    command = [sys.executable, "-P", "-m", "dicom_node", *words, "--config", str(node.ini)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def refusal(node: LightNode) -> str:
    ended = told(node, "run")
    assert ended.returncode == 1, ended.stderr
    return " ".join(ended.stderr.split("error:")[-1].split())


def test_an_active_one_that_stood_still_is_followed_and_ends_when_it_wakes(
    receivers: Receivers, pacs: StandInPacs, tmp_path: Path
) -> None:
    receivers.start()
    name = receivers.active()
    still, other = receivers.nodes[name], receivers.other(name)
    before = len(activations(other))
    assert still.process is not None
    still.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: len(activations(other)) > before, seconds=30, what=other.log())
    other.send(make_series(tmp_path / "series", 1))
    receivers.acknowledged["series"] = set(other.acknowledged)
    wait_until(receivers.all_delivered, seconds=60, what="delivered by the other")

    still.process.send_signal(signal.SIGCONT)

    assert still.process.wait(60) == 1
    assert "took this one for ended" in still.log() or "taken the database over" in still.log()
    still.start()
    receivers.send(make_series(tmp_path / "more", 2), random.Random(1))
    wait_until(receivers.all_delivered, seconds=60, what="delivered after it came back")
    assert receivers.active() != name
    receivers.hold(pacs)


@pytest.mark.long
def test_who_may_not_join_is_told_why(
    receivers: Receivers, pacs: StandInPacs, tmp_path: Path
) -> None:
    receivers.start()
    third = make_receiver(tmp_path / "c", receivers.shared, "a", pacs.port)
    assert "expected a name of this receiver's own, got a" in refusal(third)

    alone = make_receiver(tmp_path / "d", receivers.shared, "d", pacs.port)
    alone.ini.write_text(alone.ini.read_text().replace("receiver = d\n", ""))
    assert "another node uses the storage folder" in refusal(alone)

    new = make_receiver(tmp_path / "e", receivers.shared, "e", pacs.port)
    receivers.pretend_revision("0001")
    said = refusal(new)
    receivers.pretend_revision(None)
    assert "other receivers run with tables of another version" in said
    assert "stop the others first" in said

    for node in receivers.nodes.values():
        assert node.stop() == 0
    alone.start()
    assert "used by a node or a command that shares it with no receivers" in refusal(new)
    assert alone.stop() == 0


@pytest.mark.long
def test_status_names_who_is_active_and_one_can_be_drained(
    receivers: Receivers, tmp_path: Path
) -> None:
    receivers.start()
    name = receivers.active()
    active, standby = receivers.nodes[name], receivers.other(name)

    listed = json.loads(told(standby, "status", "--json").stdout)["receivers"]
    assert {one["name"]: one["active"] for one in listed} == {
        "a": name == "a",
        "b": name == "b",
    }
    words = told(standby, "status").stdout
    assert f"{name}: active" in words
    assert ": standby" in words
    wait_until(lambda: told(standby, "ready").returncode == 0, seconds=30, what="ready")

    assert told(standby, "drain", "--wait").returncode == 0
    assert told(standby, "ready").returncode == 1
    assert told(active, "ready").returncode == 0
    series = make_series(tmp_path / "series", 1)
    standby.send(series)
    active.send(series)
    assert (len(standby.acknowledged), len(active.acknowledged)) == (0, 4)
    assert standby.stop() == 0


@pytest.mark.long
def test_probes_of_a_load_balancer_do_no_harm(receivers: Receivers) -> None:
    receivers.start()
    node = receivers.nodes["a"]
    before = len((node.folder / "node.log").read_text().splitlines())
    for _ in range(200):
        socket.create_connection(("127.0.0.1", node.port), timeout=5).close()
    assert node.answers()
    lines = (node.folder / "node.log").read_text().splitlines()[before:]
    assert not [line for line in lines if '"level": "error"' in line]
    assert len([line for line in lines if '"level": "debug"' not in line]) < 20, lines[:5]
