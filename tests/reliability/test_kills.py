"""A node killed at every step, and at any moment, loses and duplicates nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from pydicom import Dataset
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.reader import load
from dicom_node.cli.exit_codes import ExitStatus
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.health import read_condition
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.engine import open_database
from storage.database.schema import Instance, Result, ResultObject, Series
from storage.states import SeriesState
from tests.reliability.receivers.light_process import LightNode
from tests.reliability.tally import Tally, times
from tests.support.node_process import free_port, ini_text, wait_until
from tests.support.servers.postgresql import Cluster

INSTANCES = 4
KILLS = int(os.environ.get("RELIABILITY_KILLS", "1000"))  #: of the long form
pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


STARTED: list[LightNode] = []


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    slices: list[Dataset] = phantom_datasets(
        make_phantom(PhantomSpec(slices=INSTANCES, size=32)), seed=1
    )
    write_series(slices, folder)
    return folder


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    """Whatever a test comes to, none of its nodes outlives it."""
    STARTED.clear()
    yield
    for node in STARTED:
        if node.alive:
            node.kill()


def light_node(folder: Path, pacs: StandInPacs) -> LightNode:
    folder.mkdir()
    node = LightNode(folder, free_port())
    STARTED.append(node)
    node.ini.write_text(ini_text(folder, port=node.port, pacs_port=pacs.port, quiet=2))
    return node


def come_through(node: LightNode, series: Path) -> None:
    """The sender sends again what was not acknowledged; once all is known, it is delivered."""
    node.send(series)
    wait_until(lambda: node.acknowledged <= kept(node), seconds=60, what="the rows")
    node.wait_for_state(SeriesState.DELIVERED, seconds=60)


def kept(node: LightNode) -> set[str]:
    """SOP Instance UIDs that have a row and a file."""
    settings = load(node.ini)
    database = open_database(settings.database_url)
    with Session(database) as session:
        rows = session.scalars(select(Instance)).all()
        found = {r.sop_instance_uid for r in rows if (settings.storage.folder / r.path).is_file()}
    database.dispose()
    return found


def hold(node: LightNode, pacs: StandInPacs) -> None:
    """Every promise: kept, once, the same UIDs, nothing stuck."""
    settings = load(node.ini)
    database = open_database(settings.database_url)
    with Session(database) as session:
        results = session.scalar(select(func.count()).select_from(Result)) or 0
        generations = session.scalar(select(Series.generation)) or 0
        objects = set(session.scalars(select(ResultObject.sop_instance_uid)))
    database.dispose()
    assert len(node.acknowledged) == INSTANCES
    assert node.acknowledged <= kept(node)
    assert 1 <= results <= generations  # one for each time that the series was closed, at most
    assert {uid for uid, _ in pacs.received} == objects


def settled(node: LightNode) -> bool:
    """Whether the node died, or all is delivered."""
    return not node.alive or set(node.states()) == {SeriesState.DELIVERED}


def steps_of(node: LightNode) -> list[str]:
    return (node.folder / "steps.txt").read_text().splitlines()


def test_killed_at_each_step_it_comes_through(
    tmp_path: Path, pacs: StandInPacs, series: Path, tally: Tally
) -> None:
    unharmed = light_node(tmp_path / "unharmed", pacs)
    unharmed.start()
    come_through(unharmed, series)
    assert unharmed.stop() == 0
    hold(unharmed, pacs)
    steps = len(steps_of(unharmed))
    chosen = range(1, steps + 1, times(60, 1))
    died = 0
    for step in chosen:
        with StandInPacs(tmp_path / f"pacs-{step}") as own:
            node = light_node(tmp_path / f"node-{step}", own)
            node.start(dies_at=step)
            if node.alive:
                node.send(series)
            wait_until(partial(settled, node), seconds=60, what="death or delivery")
            died += node.stop() == -signal.SIGKILL  # the steps on the way out count, too
            node.start()
            come_through(node, series)
            hold(node, own)
            assert node.stop() == 0
    assert died >= len(chosen) * 3 // 4  # a busy machine batches, and so takes fewer steps
    tally.note(
        "killed at a step (written, synced, renamed, committed, ...), started again: nothing lost",
        f"{len(chosen)} of {steps} steps from first byte to last delivery",
        f"{died} kills; 0 instances lost, 0 doubled results, 0 stuck",
    )


@pytest.mark.database
def test_killed_at_any_moment_it_comes_through(
    tmp_path: Path, series: Path, tally: Tally, database_kind: str
) -> None:
    moments, wanted, kills, rounds = random.Random(11), times(4, KILLS), 0, 0
    while kills < wanted:
        with StandInPacs(tmp_path / f"pacs-{rounds}") as pacs:
            node = light_node(tmp_path / f"node-{rounds}", pacs)
            for _ in range(moments.randint(2, 6)):
                node.start(wait=False)
                life = threading.Timer(moments.uniform(0.6, 3.5), node.kill)
                life.start()
                wait_until(node.up, seconds=30, what="start or death")
                if node.alive:
                    node.send(series)
                life.join()
                kills += 1
            node.start()
            come_through(node, series)
            hold(node, pacs)
            assert node.stop() == 0
        rounds += 1
    tally.note(
        f"killed (SIGKILL) at random moments, several times a series, on {database_kind}",
        f"{kills:,} kills in {rounds:,} series",
        "0 instances lost, 0 doubled results, 0 stuck",
    )


@pytest.fixture
def server(postgresql: Cluster) -> Iterator[Cluster]:
    """The server of the tests, which runs again in the end."""
    yield postgresql
    if not postgresql.is_running:
        postgresql.start()


on_postgresql = pytest.mark.parametrize(
    "database_kind",
    [pytest.param("postgresql", marks=pytest.mark.postgresql)],
    indirect=True,
)


@on_postgresql
def test_its_server_killed_at_any_moment_it_comes_through(
    tmp_path: Path, series: Path, tally: Tally, server: Cluster
) -> None:
    moments, wanted, kills, rounds = random.Random(12), times(4, KILLS), 0, 0
    while kills < wanted:
        with StandInPacs(tmp_path / f"pacs-{rounds}") as pacs:
            node = light_node(tmp_path / f"node-{rounds}", pacs)
            node.start()
            for _ in range(moments.randint(1, 3)):
                end = threading.Timer(moments.uniform(0.0, 3.0), server.kill)
                end.start()
                node.send(series)
                end.join()
                node.send(series)  # a server that is away delays no answer
                assert len(node.acknowledged) == INSTANCES
                server.start()
                kills += 1
            come_through(node, series)
            hold(node, pacs)
            assert node.stop() == 0
        rounds += 1
    tally.note(
        "PostgreSQL killed (SIGKILL of every process) at random moments, the node runs on",
        f"{kills:,} kills in {rounds:,} series",
        "every instance answered Success; 0 lost, 0 doubled results, 0 stuck",
    )


@on_postgresql
def test_what_is_said_while_the_server_is_away(
    tmp_path: Path, pacs: StandInPacs, series: Path, server: Cluster
) -> None:
    node = light_node(tmp_path / "node", pacs)
    node.start()
    server.kill()
    node.send(series)
    wait_until(lambda: parts_at_fault(node) >= {"database", "index"}, seconds=60, what="the faults")

    status = [sys.executable, "-P", "-m", "dicom_node", "status", "--config", str(node.ini)]
    ended = subprocess.run(status, capture_output=True, text=True, check=False, timeout=60)

    assert ended.returncode == ExitStatus.LATER
    assert "error: the database cannot be reached (connection" in ended.stderr
    assert "database" in ended.stdout
    assert node.stop() == 0  # what is not in the database is in the folder
    said = (node.folder / "node.log").read_text()
    assert "Traceback" not in said
    assert '"exception"' not in said
    server.start()
    node.start()
    come_through(node, series)
    hold(node, pacs)
    assert node.stop() == 0


def parts_at_fault(node: LightNode) -> set[str]:
    condition = read_condition(load(node.ini).storage.folder)
    return {fault.part for fault in condition.faults} if condition else set()
