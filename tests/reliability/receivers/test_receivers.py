"""Receivers that share PostgreSQL and one folder: killed in turn, nothing is lost, nor twice.

Processes of their own, a sender that turns from one to the other as a load balancer has it, and a
stand-in PACS that counts what arrives.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.demo.stand_in_pacs import StandInPacs
from tests.reliability.receivers.two_receivers import Receivers, make_series
from tests.reliability.tally import Tally, times
from tests.support.node_process import wait_until
from tests.support.servers.postgresql import Cluster

KILLS = int(os.environ.get("RECEIVER_KILLS", "200"))  #: of the long form
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.parametrize(
        "database_kind", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
    ),
]


@pytest.fixture
def server(postgresql: Cluster) -> Iterator[Cluster]:
    """The server of the tests, which runs again in the end."""
    yield postgresql
    if not postgresql.is_running:
        postgresql.start()


def test_killed_in_turn_while_series_come_they_lose_nothing_and_send_nothing_twice(
    receivers: Receivers, pacs: StandInPacs, tmp_path: Path, server: Cluster, tally: Tally
) -> None:
    def kill_server() -> None:
        server.kill()
        server.start()

    ways = {
        "active": receivers.kill_active,
        "standby": receivers.kill_standby,
        "both": receivers.kill_both,
        "PostgreSQL": kill_server,
    }
    draw, wanted = random.Random(19), times(4, KILLS)
    drawn = draw.choices(list(ways), weights=(6, 2, 1, 1), k=wanted) if wanted > 4 else list(ways)
    receivers.start()
    for number, way in enumerate(drawn):
        series = make_series(tmp_path / f"series-{number}", number)
        sender = threading.Thread(target=receivers.send, args=(series, draw))
        sender.start()
        threading.Event().wait(draw.uniform(0, 1.5))
        wait_until(lambda: receivers.active() != "", seconds=60, what="an active receiver")
        ways[way]()
        sender.join()
    wait_until(receivers.all_delivered, seconds=180, what="all delivered")
    receivers.hold(pacs)
    assert {node.stop() for node in receivers.nodes.values()} == {0}
    counts = ", ".join(f"{drawn.count(way)} of {way}" for way in ways)
    takeovers = sorted(receivers.takeovers)
    tally.note(
        "two receivers that share PostgreSQL and a folder, killed (SIGKILL) while series come to"
        " both",
        f"{len(drawn):,} kills ({counts}) in as many series",
        "0 instances lost, 0 doubled results, 0 stuck; the other one took over in"
        f" {takeovers[len(takeovers) // 2]:.1f} s (median), {takeovers[-1]:.1f} s at most",
    )
