"""Two receivers behind haproxy, as `deploy/proxy/haproxy.cfg` sets it up; only addresses differ."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.association import Peer
from tests.reliability.receivers.light_process import LightNode
from tests.reliability.receivers.test_standing_by import told
from tests.reliability.receivers.two_receivers import INSTANCES, Receivers, make_series
from tests.support.node_process import free_port, wait_until
from tests.support.paths import ROOT
from tests.support.peers.balancer import BALANCER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.parametrize(
        "database_kind", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
    ),
]


class Balanced(LightNode):
    """What a sender sees: one node, at the port of the balancer."""

    @property
    def quick_peer(self) -> Peer:
        return Peer(ae_title="AINODE", host="127.0.0.1", port=self.port, timeout_seconds=5)


@pytest.fixture
def balanced(receivers: Receivers, tmp_path: Path) -> Iterator[Balanced]:
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("not installed: haproxy")
    text = (ROOT / "deploy" / "proxy" / "haproxy.cfg").read_text()
    text = re.sub(r"port 9104 check-ssl .*", "", text)
    port = free_port()
    for (name, node), last in zip(receivers.nodes.items(), ("11", "12"), strict=True):
        asked = free_port()
        ini = node.ini.read_text().replace("[log]\n", f"[monitoring]\nport = {asked}\n\n[log]\n")
        callers = f"balancers = {BALANCER}\ncalling_aes = SCANNER@127.0.0.1, TEST\n"
        node.ini.write_text(ini.replace("[node]\n", f"[node]\n{callers}"))
        old = f"server {name} 10.1.0.{last}:11112"
        assert old in text
        new = f"server {name} 127.0.0.1:{node.port} port {asked} source {BALANCER}"
        text = text.replace(old, new)
    assert "bind :104" in text
    (tmp_path / "haproxy.cfg").write_text(text.replace("bind :104", f"bind 127.0.0.1:{port}"))
    receivers.start()
    proxy = subprocess.Popen([program, "-f", str(tmp_path / "haproxy.cfg"), "-db"])
    yield Balanced(tmp_path, port, proxy)
    proxy.terminate()
    proxy.wait(20)


def test_senders_notice_neither_a_drained_receiver_nor_a_killed_one(
    receivers: Receivers, balanced: Balanced, pacs: StandInPacs, tmp_path: Path
) -> None:
    wait_until(balanced.up, seconds=30, what="the balancer")
    for number in range(4):
        balanced.send(make_series(tmp_path / f"series-{number}", number))
    assert len(balanced.acknowledged) == 4 * INSTANCES
    for node in receivers.nodes.values():  # each was given some
        wait_until(partial(has_some, node), seconds=30, what="instances")

    standby = receivers.other(receivers.active())
    assert told(standby, "drain", "--wait").returncode == 0
    before = indexed(standby)
    wait_until(lambda: log_of(standby).count('"drain_begun"') == 1, seconds=30, what="the drain")
    for number in range(4, 8):
        send_until_taken(balanced, make_series(tmp_path / f"series-{number}", number))
    assert indexed(standby) == before

    assert told(standby, "drain", "--end").returncode == 0
    receivers.kill_active()
    send_until_taken(balanced, make_series(tmp_path / "series-8", 8))
    assert len(balanced.acknowledged) == 9 * INSTANCES
    receivers.acknowledged["all"] = balanced.acknowledged
    wait_until(lambda: receivers.all_delivered(9), seconds=120, what="all delivered")
    receivers.hold(pacs)


def log_of(node: LightNode) -> str:
    return (node.folder / "node.log").read_text()


def has_some(node: LightNode) -> bool:
    return indexed(node) > 0


def indexed(node: LightNode) -> int:
    return log_of(node).count('"instances_indexed"')


def send_until_taken(balanced: Balanced, series: Path) -> None:
    """Send as a scanner does that tries again."""
    wanted = len(balanced.acknowledged) + INSTANCES

    def is_taken() -> bool:
        balanced.send(series)
        return len(balanced.acknowledged) >= wanted

    wait_until(is_taken, seconds=60, what="all acknowledged")
