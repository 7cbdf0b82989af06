"""A lost or outdated database is rebuilt from the files; no UID is used a second time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.reader import load
from config.settings import Settings
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.assembly.resources import open_resources
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.association import Peer
from dicom_node.node.lifecycle import Node, start_node
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.schema import Instance, Result, ResultObject
from storage.overview import overview
from tests.support.databases import copy_database, lose_database
from tests.support.light_node import LightEngine
from tests.support.node_process import ini_text, wait_until

pytestmark = pytest.mark.database


@pytest.fixture
def slices(tmp_path: Path) -> list[Path]:
    datasets: list[Dataset] = phantom_datasets(make_phantom(PhantomSpec(slices=4, size=32)), seed=1)
    write_series(datasets, tmp_path / "series")
    return sorted((tmp_path / "series").glob("*.dcm"))


@pytest.fixture
def settings(tmp_path: Path, pacs: StandInPacs) -> Settings:
    ini = tmp_path / "node.ini"
    ini.write_text(ini_text(tmp_path, port=0, pacs_port=pacs.port, quiet=0.5))
    return load(ini)


@contextmanager
def running(settings: Settings) -> Iterator[tuple[Node, Peer]]:
    """A node without networks."""
    node = start_node(
        settings,
        open_resources(settings),
        make_engine=lambda *_: cast(ComputeEngine, LightEngine()),
    )
    _, port = node.address
    try:
        yield node, Peer(ae_title="AINODE", host="127.0.0.1", port=port, timeout_seconds=10)
    finally:
        node.stop()


def deliver(settings: Settings, slices: list[Path], *, instances: int, results: int) -> set[str]:
    """Have a node take slices and come to its end; return the UIDs of its results' objects."""
    with running(settings) as (node, peer):
        for _, outcome in send([OutgoingFile.of(path) for path in slices], peer, calling_ae="CT1"):
            assert outcome.verdict is Verdict.ACCEPTED

        def done() -> bool:
            with node.resources.sessions() as session:
                states = [(line.state, line.instances) for line in overview(session).series]
                return states == [("delivered", instances)] and len(keys(session)) == results

        wait_until(done, seconds=60, what="the delivery of everything")
        with node.resources.sessions() as session:
            assert len(session.scalars(select(Instance)).all()) == instances
            return set(session.scalars(select(ResultObject.sop_instance_uid)))


def keys(session: Session) -> list[str]:
    return list(session.scalars(select(Result.key).order_by(Result.revision)))


def test_a_lost_database_is_made_again_from_the_files(
    settings: Settings, slices: list[Path], pacs: StandInPacs
) -> None:
    before = deliver(settings, slices, instances=4, results=1)
    lose_database(settings.storage.folder)

    after = deliver(settings, [], instances=4, results=1)

    assert_others(before, after, pacs)
    assert len(list((settings.storage.folder / "results").iterdir())) == 2


def test_an_old_copy_of_the_database_learns_what_came_since(
    settings: Settings, slices: list[Path], pacs: StandInPacs, tmp_path: Path
) -> None:
    first = deliver(settings, slices[:2], instances=2, results=1)
    copy_database(settings.storage.folder, tmp_path)
    before = deliver(settings, slices[2:], instances=4, results=2)
    copy_database(tmp_path, settings.storage.folder)

    after = deliver(settings, [], instances=4, results=2)

    assert first < before
    assert first < after
    assert_others(before - first, after - first, pacs)
    assert len(list((settings.storage.folder / "results").iterdir())) == 3


def assert_others(before: set[str], after: set[str], pacs: StandInPacs) -> None:
    """What was made again after a setback has other UIDs, and none was sent twice."""
    sent = [uid for uid, _ in pacs.received]
    assert before
    assert before.isdisjoint(after)
    assert before | after <= set(sent)
    assert len(sent) == len(set(sent))
