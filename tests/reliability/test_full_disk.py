"""A real disk that is full: nothing acknowledged is lost, and room is used again, unasked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config.reader import load
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.health import read_condition
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.engine import open_database
from storage.database.schema import Instance
from storage.errors import StorageError
from tests.reliability.tally import Tally, times
from tests.support.node_process import INI, NodeProcess, free_port, wait_until
from tests.support.paths import ROOT

SIZE_MB = 24  #: of the disk
SLICES = 8
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a disk cannot be mounted here: that takes root and its capabilities")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def node(disk: Path, tmp_path: Path, pacs: StandInPacs) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path, free_port())
    ini = INI.format(port=node.port, pacs_port=pacs.port, quiet=1, more="")
    node.ini.write_text(ini.replace("folder = data", "folder = disk/data"))
    with (disk / "node.log").open("a") as log:
        node.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.support.light_node", str(node.ini)],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    wait_until(node.answers, seconds=60, what="the node's start")
    told = disk / "data"
    wait_until(lambda: read_condition(told) is not None, seconds=20, what="its condition")
    yield node
    if node.process.poll() is None:
        node.kill()


def fill(disk: Path) -> Path:
    """Take all the room there is."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def send_once(node: NodeProcess, files: list[Path]) -> set[Path]:
    """Send files; return those that were answered with Success."""
    outcomes = send([OutgoingFile.of(path) for path in files], node.peer, calling_ae="SCANNER")
    return {file.path for file, outcome in outcomes if outcome.verdict is Verdict.ACCEPTED}


def kept(node: NodeProcess) -> int:
    """How many instances have a row and a file."""
    settings = load(node.ini)
    database = open_database(settings.database_url)
    try:
        with Session(database) as session:
            paths = list(session.scalars(select(Instance.path)))
    except (StorageError, SQLAlchemyError):
        return -1  # it is full as well
    finally:
        database.dispose()
    return sum((settings.storage.folder / path).is_file() for path in paths)


def all_in(node: NodeProcess, states: list[str]) -> bool:
    return node.states() == states


def test_a_disk_that_is_full_loses_nothing_and_is_used_again(
    node: NodeProcess, disk: Path, tmp_path: Path, tally: Tally
) -> None:
    rounds, refused = times(2, 20), 0
    for number in range(rounds):
        folder = tmp_path / f"series{number}"
        write_series(
            phantom_datasets(make_phantom(PhantomSpec(slices=SLICES, size=128)), seed=number),
            folder,
        )
        files = sorted(folder.glob("*.dcm"))
        acknowledged = send_once(node, files[: number % SLICES])  # some of it is there already
        filler = fill(disk)
        acknowledged |= send_once(node, files)
        refused += len(files) - len(acknowledged)
        filler.unlink()

        def all_acknowledged(files: list[Path] = files, known: set[Path] = acknowledged) -> bool:
            known |= send_once(node, [path for path in files if path not in known])
            return known >= set(files)

        wait_until(all_acknowledged, seconds=60, what="room that is used again")
        delivered = ["delivered"] * (number + 1)
        wait_until(
            partial(all_in, node, delivered),
            seconds=90,
            what=f"the delivery of all\n{(disk / 'node.log').read_text()[-3000:]}",
        )
        assert kept(node) == (number + 1) * SLICES
    assert refused > 0
    assert node.process is not None
    assert node.process.poll() is None  # it was never started again
    tally.note(
        "a disk (tmpfs) with the folder, the database and the log fills up while a series arrives",
        f"{rounds} times full, {refused} instances refused, and room again",
        "0 acknowledged instances lost, everything delivered, no restart",
    )
