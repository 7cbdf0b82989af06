"""A node as a process performs a work item: images come, results go, the manager has it all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.cli.send import outgoing_files
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.node_process import NodeProcess, free_port, ini_text, wait_until
from tests.support.paths import ROOT
from tests.support.peers.worklist_manager import CANCELED, COMPLETED, WorklistManager, work_item
from tests.support.samples.worklist_site import ABSENT, ITEM, OTHER

pytestmark = pytest.mark.slow

WORKLIST = """
[worklist]
manager = MANAGER@127.0.0.1:{port}
station_name = AINODE
check_every_seconds = 0.5
"""
QUIET = 3.0  #: seconds, after which three slices are taken for complete


@pytest.fixture
def manager() -> Iterator[WorklistManager]:
    with WorklistManager() as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, pacs: StandInPacs, manager: WorklistManager) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path, free_port())
    more = WORKLIST.format(port=manager.port)
    node.ini.write_text(
        ini_text(tmp_path, port=node.port, pacs_port=pacs.port, quiet=QUIET, more=more)
    )
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


def test_a_work_item_is_performed_and_another_canceled(
    tmp_path: Path, node: NodeProcess, pacs: StandInPacs, manager: WorklistManager
) -> None:
    images = write_series(
        phantom_datasets(make_phantom(PhantomSpec(slices=3, lesions=0)), seed=1), tmp_path / "ct"
    )
    first = dcmread(images[0], stop_before_pixels=True)
    place = (str(first.StudyInstanceUID), str(first.SeriesInstanceUID))
    uids = [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in images]
    manager.add(work_item(ITEM, (*place, uids)))
    manager.add(work_item(OTHER, ABSENT))
    wait_until(lambda: len(manager.subscribed) == 2, seconds=60, what="both claims")

    assert manager.request_cancellation(OTHER, node.port) == 0x0000
    sent = list(send(outgoing_files(tmp_path / "ct")[0], node.peer, calling_ae="SCANNER"))
    wait_until(
        lambda: manager.state(ITEM) == COMPLETED and manager.state(OTHER) == CANCELED,
        seconds=60,
        what=f"the ends of both:\n{node.log()}",
    )

    assert len(sent) == 3
    (step,) = manager.items[ITEM].UnifiedProcedureStepPerformedProcedureSequence
    named = {
        str(one.ReferencedSOPInstanceUID)
        for output in step.OutputInformationSequence
        for one in output.ReferencedSOPSequence
    }
    assert named
    assert named <= {uid for uid, _ in pacs.received}
    assert node.stop() == 0
    shown = CliRunner().invoke(app, ["workitems", "--json", "--config", str(node.ini)])
    assert {one["sop_instance_uid"]: one["state"] for one in json.loads(shown.stdout)} == {
        ITEM: "completed",
        OTHER: "canceled",
    }
