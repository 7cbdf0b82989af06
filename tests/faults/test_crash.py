"""Processes are killed at the worst moments; nothing acknowledged is lost or duplicated."""

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.reader import load
from dicom_node.cli.send import outgoing_files
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from storage.database.engine import open_database
from storage.database.schema import Instance, Result, ResultObject
from tests.support.node_process import NodeProcess, wait_until

MakeNode = Callable[..., NodeProcess]
pytestmark = pytest.mark.slow


def send_all(node: NodeProcess, chest: Path) -> set[str]:
    """Send what the node takes; return the UIDs that were answered with Success."""
    acknowledged = set()
    for file, outcome in send(outgoing_files(chest)[0], node.peer, calling_ae="SCANNER"):
        if outcome.verdict is Verdict.ACCEPTED:
            acknowledged.add(str(dcmread(file.path, stop_before_pixels=True).SOPInstanceUID))
    return acknowledged


def kept(node: NodeProcess) -> tuple[set[str], int, set[str]]:
    """UIDs of instances whose files are there, number of results, UIDs of their objects."""
    settings = load(node.ini)
    database = open_database(settings.database_url)
    with Session(database) as session:
        rows = session.scalars(select(Instance)).all()
        instances = {
            r.sop_instance_uid for r in rows if (settings.storage.folder / r.path).is_file()
        }
        results = session.scalar(select(func.count()).select_from(Result)) or 0
        objects = set(session.scalars(select(ResultObject.sop_instance_uid)))
    database.dispose()
    return instances, results, objects


def assert_delivered_once(
    node: NodeProcess,
    pacs: StandInPacs,
    acknowledged: set[str],
) -> None:
    instances, results, objects = kept(node)
    assert acknowledged <= instances
    assert results == 1
    assert {uid for uid, _ in pacs.received} == objects


def test_a_killed_worker_is_replaced_and_the_series_analysed(
    make_node: MakeNode, pacs: StandInPacs, chest: Path
) -> None:
    node = make_node(pacs.port)
    node.start()
    acknowledged = send_all(node, chest)
    node.wait_for_state("analysing")
    for pid in node.workers():
        os.kill(pid, signal.SIGKILL)

    node.wait_for_state("delivered")

    assert len(acknowledged) == 60
    (series,) = node.overview().series
    assert series.attempts in {1, 2}  # 1 if the worker had not begun yet: then it is no attempt
    assert_delivered_once(node, pacs, acknowledged)


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3))]
)
def test_a_node_killed_at_any_moment_loses_nothing(
    make_node: MakeNode, pacs: StandInPacs, chest: Path, seed: int
) -> None:
    moments = random.Random(seed)
    node = make_node(pacs.port)
    node.start()
    killer = threading.Timer(moments.uniform(0.05, 1.0), node.kill)
    killer.start()  # while it receives
    acknowledged = send_all(node, chest)
    killer.join()
    for longest in (4.0, 8.0):  # while it closes, starts its engine, analyses, delivers
        node.start(wait=False)
        threading.Event().wait(moments.uniform(1.0, longest))
        node.kill()
    node.start()
    acknowledged |= send_all(node, chest)  # a sender that was not answered sends again

    node.wait_for_state("delivered")

    assert len(acknowledged) == 60
    instances, _, _ = kept(node)
    assert acknowledged <= instances


@pytest.mark.database(long=True)
def test_a_node_killed_in_mid_analysis_and_in_mid_delivery_delivers_once(
    make_node: MakeNode, pacs: StandInPacs, chest: Path
) -> None:
    node = make_node(pacs.port)
    node.start()
    acknowledged = send_all(node, chest)
    node.wait_for_state("analysing")
    node.kill()
    node.start()
    pacs.wait_for(5, timeout_seconds=120)
    node.kill()
    node.start()

    node.wait_for_state("delivered")

    assert_delivered_once(node, pacs, acknowledged)
    assert node.stop() == 0


def test_workers_end_with_a_killed_node(make_node: MakeNode, pacs: StandInPacs) -> None:
    node = make_node(pacs.port)
    node.start()
    wait_until(lambda: bool(node.workers()), seconds=30, what="a worker")
    workers = node.workers()

    node.kill()

    wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers),
        seconds=30,
        what="the end of the workers",
    )


def test_sigterm_gives_work_back_or_finishes_it(
    make_node: MakeNode, pacs: StandInPacs, chest: Path
) -> None:
    node = make_node(pacs.port)
    node.start()
    send_all(node, chest)
    node.wait_for_state("analysing")

    assert node.stop() == 0

    assert set(node.states()) <= {"stable", "encoded", "delivered"}
    node.start()
    node.wait_for_state("delivered")
    assert kept(node)[1] == 1
