"""Receivers that share PostgreSQL and one folder: killed in turn, nothing is lost, nor twice.

Processes of their own, a sender that turns from one to the other as a load balancer has it, and a
stand-in PACS that counts what arrives.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.reader import load
from dicom_node.demo.stand_in_pacs import StandInPacs
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.engine import open_database
from storage.database.lease import read_lease
from storage.database.schema import Instance, Result, ResultObject, Series
from storage.states import SeriesState
from tests.reliability.receivers.light_process import LightNode
from tests.reliability.tally import Tally, times
from tests.support.node_process import free_port, ini_text, wait_until
from tests.support.postgresql import Cluster

KILLS = int(os.environ.get("RECEIVER_KILLS", "200"))  #: of the long form
INSTANCES = 4
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.parametrize(
        "database_kind", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
    ),
]


@dataclass
class Receivers:
    """Two receivers, what was acknowledged to the sender, and how long others took to take over."""

    shared: Path
    nodes: dict[str, LightNode]
    url: str
    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    takeovers: list[float] = field(default_factory=list)

    def start(self) -> None:
        for node in self.nodes.values():
            node.start()
        wait_until(lambda: self.active() != "", seconds=60, what="an active receiver")

    def active(self) -> str:
        """Name of the active receiver; empty if there is none."""
        database = open_database(self.url)
        with Session(database) as session:
            lease = read_lease(session)
        database.dispose()
        return lease.held_by.place.removeprefix("receiver ") if lease and lease.is_held else ""

    def other(self, name: str) -> LightNode:
        return next(node for other, node in self.nodes.items() if other != name)

    def send(self, series: Path, draw: random.Random) -> None:
        """Send until all is acknowledged, to whichever of them takes it."""
        wanted = {str(dcmread(path).SOPInstanceUID) for path in series.glob("*.dcm")}
        for _ in range(100):
            node = draw.choice(list(self.nodes.values()))
            node.send(series)
            known = {uid for one in self.nodes.values() for uid in one.acknowledged}
            if wanted <= known:
                self.acknowledged[series.name] = wanted
                return
            threading.Event().wait(0.2)
        raise AssertionError("nobody takes the series")

    def kill_active(self) -> None:
        """Kill the active receiver; wait until the other one has taken over, and start it again."""
        name = self.active()
        victim, other = self.nodes[name], self.other(name)
        before = len(activations(other))
        at = time.time()
        victim.kill()
        wait_until(
            lambda: len(activations(other)) > before, seconds=60, what=f"takeover\n{other.log()}"
        )
        self.takeovers.append(activations(other)[-1] - at)
        victim.start()

    def kill_standby(self) -> None:
        """Kill the one that is not active, with what it has not entered yet."""
        standby = self.other(self.active())
        standby.kill()
        standby.start()

    def kill_both(self) -> None:
        """Kill all receivers at once: nobody is there for a moment."""
        for node in self.nodes.values():
            node.kill()
        for node in self.nodes.values():
            node.start()

    def all_delivered(self) -> bool:
        database = open_database(self.url)
        with Session(database) as session:
            states = dict(
                session.execute(select(Series.state, func.count()).group_by(Series.state)).all()
            )
        database.dispose()
        return states == {SeriesState.DELIVERED: len(self.acknowledged)}

    def hold(self, pacs: StandInPacs) -> None:
        """Every promise: each instance kept, each series once, and each result once at the PACS."""
        database = open_database(self.url)
        data = self.shared / "data"
        with Session(database) as session:
            rows = session.scalars(select(Instance)).all()
            kept = [row.sop_instance_uid for row in rows if (data / row.path).is_file()]
            generations = dict(
                session.execute(select(Series.series_instance_uid, Series.generation)).all()
            )
            results = dict(
                session.execute(
                    select(Result.series_instance_uid, func.count()).group_by(
                        Result.series_instance_uid
                    )
                ).all()
            )
            objects = set(session.scalars(select(ResultObject.sop_instance_uid)))
        database.dispose()
        promised = set().union(*self.acknowledged.values())
        assert promised == set(kept)
        assert len(kept) == len(set(kept))
        assert results.keys() == generations.keys()
        assert all(count <= generations[uid] for uid, count in results.items())
        assert {uid for uid, _ in pacs.received} == objects
        assert not list((data / "receivers").glob("*/noted/*"))


def activations(node: LightNode) -> list[float]:
    """When a receiver became the active one, by its log."""
    lines = (node.folder / "node.log").read_text().splitlines()
    told = [json.loads(line) for line in lines if '"receiver_active"' in line]
    return [datetime.fromisoformat(line["timestamp"]).timestamp() for line in told]


@pytest.fixture
def receivers(tmp_path: Path, pacs: StandInPacs) -> Iterator[Receivers]:
    shared = tmp_path / "shared"
    shared.mkdir()
    nodes = {}
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        node = nodes[name] = LightNode(folder, free_port())
        text = ini_text(shared, port=node.port, pacs_port=pacs.port, quiet=2)
        text = text.replace("folder = data\n", f"folder = {shared / 'data'}\n")
        node.ini.write_text(text.replace("[node]\n", f"[node]\nreceiver = {name}\n"))
    made = Receivers(shared, nodes, load(nodes["a"].ini).database_url)
    yield made
    for node in nodes.values():
        if node.alive:
            node.kill()


def make_series(folder: Path, number: int) -> Path:
    slices = phantom_datasets(make_phantom(PhantomSpec(slices=INSTANCES, size=32)), seed=number)
    folder.mkdir()
    write_series(slices, folder)
    return folder


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
