"""A node in use is backed up, its disk is lost, and it goes on from the backup."""

import os
import shutil
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
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.databases import lose_database
from tests.support.node_process import NodeProcess, wait_until
from tests.support.paths import ROOT

MakeNode = Callable[..., NodeProcess]
pytestmark = [pytest.mark.slow, pytest.mark.database, pytest.mark.timeout(600)]


def start(node: NodeProcess) -> None:
    command = [sys.executable, "-P", "-m", "tests.support.light_node", str(node.ini)]
    with (node.folder / "node.log").open("a") as log:
        node.process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
    wait_until(node.answers, seconds=200, what=f"the node's start:\n{node.log()}")


def command(*words: str | Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "dicom_node", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def series(folder: Path, seed: int) -> Path:
    write_series(phantom_datasets(make_phantom(PhantomSpec(slices=4, size=32)), seed=seed), folder)
    return folder


def store(node: NodeProcess, folder: Path) -> None:
    outcomes = [
        outcome for _, outcome in send(outgoing_files(folder)[0], node.peer, calling_ae="A")
    ]
    assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}


def test_a_node_whose_disk_is_lost_goes_on_from_its_backup(
    make_node: MakeNode, pacs: StandInPacs, tmp_path: Path
) -> None:
    node = make_node(pacs.port)
    first, second = series(tmp_path / "first", 1), series(tmp_path / "second", 2)
    start(node)
    store(node, first)
    node.wait_for_state("delivered")
    backup = command("backup", "create", tmp_path / "backups", "--config", node.ini)
    assert command("backup", "verify", backup).startswith("whole: ")
    store(node, second)  # after the backup: known to nobody afterwards
    wait_until(lambda: node.states() == ["delivered"] * 2, seconds=120, what="both series")
    before = {uid for uid, _ in pacs.received}
    node.kill()
    lose_database(node.folder / "data")
    shutil.rmtree(load(node.ini).storage.folder)

    command("restore", backup, "--config", node.ini)
    start(node)

    assert node.states() == ["delivered"]
    store(node, first)  # repeated: nothing new comes of it
    store(node, second)
    wait_until(lambda: node.states() == ["delivered"] * 2, seconds=120, what="both series")
    after = [uid for uid, _ in pacs.received]
    assert len(after) == len(set(after)), "a UID went out twice"
    assert len(set(after) - before) == len(before) // 2
    assert "restored" in node.log()
    assert node.stop() == 0
