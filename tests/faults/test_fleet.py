"""A node whose engine is a fleet: the scheduler goes and comes, workers die, hang, or are unfit."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from config.reader import load
from config.settings import Settings
from dicom_node.analysis.engine.compute_engine import ComputeEngine, EnginePaces
from dicom_node.analysis.engine.connection import EngineAddress, connect
from dicom_node.analysis.engine.task import Task
from dicom_node.analysis.engine.worker_records import Pace
from dicom_node.analysis.worker import series_task
from dicom_node.assembly.resources import open_resources
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.health import Health
from dicom_node.network.association import Peer
from dicom_node.node.lifecycle import Node, start_node
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.overview import SeriesLine, overview
from tests.support.fleet import Fleet
from tests.support.fleet_tasks import analyse_where, prove
from tests.support.node_process import INI, wait_until

pytestmark = pytest.mark.slow

QUICK = Pace(first_seconds=0.2, longest_seconds=2)
ENGINE = """
[engine]
task_timeout_seconds = {timeout}
attempts = 3
retry_first_seconds = 0.5
"""


class LightComputeEngine(ComputeEngine):
    """The real engine, with a light analysis instead of the networks."""

    def submit(
        self,
        function: Callable[..., Any],
        *arguments: Any,  # noqa: ANN401  # any task
        **options: Any,  # noqa: ANN401  # as the engine takes them
    ) -> Task[Any]:
        light = analyse_where if function is series_task.run else function
        return super().submit(light, *arguments, **options)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.stop()


@pytest.fixture
def start(tmp_path: Path, pacs: StandInPacs, fleet: Fleet) -> Iterator[Callable[..., Node]]:
    """Start the node; what is started is stopped at the end."""
    nodes = []

    def started(*, timeout: float = 900) -> Node:
        ini = tmp_path / "node.ini"
        more = ENGINE.format(timeout=timeout)
        ini.write_text(INI.format(port=0, pacs_port=pacs.port, quiet=0.5, more=more))
        settings = load(ini)
        node = start_node(settings, open_resources(settings), make_engine=engine)
        nodes.append(node)
        return node

    def engine(_: Settings, health: Health) -> ComputeEngine:
        return LightComputeEngine(
            partial(connect, EngineAddress(scheduler=fleet.address)),
            prove,
            health,
            renewed=False,
            paces=EnginePaces(reconnect=QUICK, rest=QUICK),
        )

    yield started
    for node in nodes:
        node.stop()


def send_series(node: Node, folder: Path, *seeds: int) -> None:
    peer = Peer(ae_title="AINODE", host="127.0.0.1", port=node.address[1], timeout_seconds=10)
    for seed in seeds:
        datasets = phantom_datasets(make_phantom(PhantomSpec(slices=4, size=32)), seed=seed)
        write_series(datasets, folder / f"series-{seed}")
        files = [OutgoingFile.of(path) for path in (folder / f"series-{seed}").glob("*.dcm")]
        for _, outcome in send(files, peer, calling_ae="CT1"):
            assert outcome.verdict is Verdict.ACCEPTED


def lines(node: Node) -> list[SeriesLine]:
    with node.resources.sessions() as session:
        return list(overview(session).series)


def wait_for(node: Node, state: str, *, count: int) -> None:
    wait_until(
        lambda: [line.state for line in lines(node)] == [state] * count,
        seconds=120,
        what=f"{count} series {state}; {lines(node)}, {node.resources.health.snapshot()}",
    )


def has_begun(folder: Path) -> bool:
    """Say whether an analysis has begun and named its process."""
    begun = folder / "begun"
    return begun.exists() and bool(begun.read_text())


def faults(node: Node) -> dict[str, str]:
    return {fault.part: fault.reason for fault in node.resources.health.snapshot()}


def test_analyses_go_on_after_the_scheduler_was_absent_and_killed(
    start: Callable[..., Node], fleet: Fleet, tmp_path: Path, pacs: StandInPacs
) -> None:
    node = start()
    send_series(node, tmp_path, 1)
    wait_for(node, "stable", count=1)
    wait_until(lambda: "no scheduler at" in faults(node).get("engine", ""), seconds=30, what="word")

    fleet.start_scheduler()
    fleet.start_worker("one")
    wait_for(node, "delivered", count=1)
    assert "engine" not in faults(node)

    (tmp_path / "hold").touch()
    send_series(node, tmp_path, 2)
    wait_until(partial(has_begun, tmp_path), seconds=60, what="the second analysis")
    fleet.kill_scheduler()
    wait_until(lambda: "engine" in faults(node), seconds=60, what="word of the loss")
    (tmp_path / "hold").unlink()
    fleet.start_scheduler()
    fleet.start_worker("two")

    wait_for(node, "delivered", count=2)
    assert [line.attempts for line in lines(node)] == [1, 1]  # the loss is nobody's fault
    assert "engine" not in faults(node)


def test_a_wrongly_installed_worker_fails_no_series(
    start: Callable[..., Node], fleet: Fleet, tmp_path: Path, pacs: StandInPacs
) -> None:
    """Without the code, of another version, unable to read the files, short of memory; one good."""
    fleet.start_scheduler()
    fleet.start_worker("empty", PYTHONPATH="")
    fleet.start_worker("old", UNFIT="expected dicom-node 2, it has 1")
    fleet.start_worker("blind", BLIND="yes")
    fleet.start_worker("small", SMALL="yes")
    fleet.start_worker("good")
    node = start()
    engine = node.processing.engine
    wait_until(lambda: engine.slots == 3, seconds=120, what="the good, the blind, the small one")
    unfit = {"worker empty", "worker old"}
    wait_until(lambda: unfit <= faults(node).keys(), seconds=120, what="word of the unfit")

    send_series(node, tmp_path, 1, 2, 3, 4)

    wait_for(node, "delivered", count=4)
    assert {line.attempts for line in lines(node)} == {1}
    assert len({sop_class for _, sop_class in pacs.received}) == 2  # report, heatmap, no notice
    assert "worker good" not in faults(node)


def test_only_the_worker_that_hangs_is_restarted_and_the_series_goes_to_the_other(
    start: Callable[..., Node], fleet: Fleet, tmp_path: Path, pacs: StandInPacs
) -> None:
    fleet.start_scheduler()
    fleet.start_worker("one")
    fleet.start_worker("two")
    node = start(timeout=5)
    wait_until(lambda: node.processing.engine.slots == 2, seconds=60, what="two fit workers")
    before = processes(node)
    (tmp_path / "hold").touch()
    send_series(node, tmp_path, 1)
    wait_until(partial(has_begun, tmp_path), seconds=60, what="the analysis")
    hanging = int((tmp_path / "begun").read_text().split()[0])
    (tmp_path / "begun").rename(tmp_path / "begun-first")
    wait_until(lambda: hanging not in processes(node), seconds=60, what="its worker's restart")
    (tmp_path / "hold").unlink()

    wait_for(node, "delivered", count=1)
    assert before - processes(node) == {hanging}
    assert lines(node)[0].attempts == 2


def test_killed_workers_cost_attempts_and_the_series_goes_on(
    start: Callable[..., Node], fleet: Fleet, tmp_path: Path, pacs: StandInPacs
) -> None:
    """As the system does for memory: twice during the same series, wherever it runs."""
    fleet.start_scheduler()
    fleet.start_worker("one")
    fleet.start_worker("two")
    node = start()
    wait_until(lambda: node.processing.engine.slots == 2, seconds=60, what="two fit workers")
    (tmp_path / "hold").touch()
    send_series(node, tmp_path, 1)
    for kill in range(3):  # the third attempt is left alone
        wait_until(partial(has_begun, tmp_path), seconds=60, what=f"attempt {kill + 1}")
        begun = (tmp_path / "begun").rename(tmp_path / f"begun-{kill}")
        if kill < 2:
            os.kill(int(begun.read_text().split()[0]), signal.SIGKILL)
    (tmp_path / "hold").unlink()

    wait_for(node, "delivered", count=1)
    assert lines(node)[0].attempts == 3


def processes(node: Node) -> set[int]:
    """Process numbers of the workers, as their scheduler knows them."""
    connection = node.processing.engine._connection
    assert connection is not None
    return set(connection.client.run(os.getpid, on_error="ignore").values())
