"""Two node processes with one database: one works on it, the other is refused, and touches nothing.

Also: a node that was killed is followed at once where its folder is, without a wait.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config.reader import load
from dicom_node.cli.send import outgoing_files
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.health import read_condition
from storage.database.sessions import Sessions
from storage.errors import DatabaseUnavailable
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation
from tests.reliability.tally import Tally
from tests.support.databases import impatient_database
from tests.support.node_process import NodeProcess, in_database, wait_until
from tests.support.paths import ROOT

MakeNode = Callable[..., NodeProcess]
COMMAND = [sys.executable, "-P", "-m"]
pytestmark = [pytest.mark.slow, pytest.mark.database, pytest.mark.timeout(600)]


def start(node: NodeProcess) -> None:
    """Start a node without networks."""
    command = [*COMMAND, "tests.support.light_node", str(node.ini)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (node.folder / "node.log").open("a") as log:
        node.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    wait_until(node.answers, seconds=200, what=f"the node's start:\n{node.log()}")


def beside(first: NodeProcess, second: NodeProcess, *, known: bool) -> None:
    """Give the second node the database of the first, and a folder in which a node has run."""
    url = load(first.ini).database_url
    text = re.sub("database_url = .*\n", "", second.ini.read_text())
    second.ini.write_text(in_database(text, url))
    if known:
        folder = StorageFolder(second.folder / "data", 0)
        draw_installation(folder.root)


def refusal(node: NodeProcess, *options: str) -> str:
    """Start a node that must not start; return its last words."""
    command = [*COMMAND, "dicom_node", "run", "--config", str(node.ini), *options]
    ended = subprocess.run(command, capture_output=True, timeout=200, check=False)
    assert ended.returncode == 1, ended.stderr.decode()
    return " ".join(ended.stderr.decode().split("error:")[-1].split())


def stand_still(node: NodeProcess) -> None:
    """Stop the process of a node between two transactions: none but it could end one of SQLite."""
    assert node.process is not None
    while True:
        node.process.send_signal(signal.SIGSTOP)
        database = impatient_database(node.folder / "data")
        try:
            with Sessions(database).begin() as session:
                session.connection()  # begins to write, on SQLite
                return
        except DatabaseUnavailable:
            node.process.send_signal(signal.SIGCONT)
        finally:
            database.dispose()


@pytest.mark.database(long=True)  # quick on both: test_database_lease.py
def test_the_second_node_on_a_database_is_refused_and_the_first_goes_on(
    make_node: MakeNode, pacs: StandInPacs, chest: Path, tally: Tally
) -> None:
    first = make_node(pacs.port)
    start(first)
    list(send(outgoing_files(chest)[0], first.peer, calling_ae="SCANNER"))
    first.wait_for_state("delivered")
    before = first.overview()

    new, known, copied = make_node(pacs.port), make_node(pacs.port), make_node(pacs.port)
    beside(first, new, known=False)
    beside(first, known, known=True)
    beside(first, copied, known=True)
    station = first.folder / "data" / "station"
    (copied.folder / "data" / "station").write_text(station.read_text())

    identity = station.read_text().strip()
    assert identity in (said := refusal(new)), said
    assert "belongs to another storage folder" in (said := refusal(known)), said
    for said in (refusal(new, "--new-folder"), refusal(copied)):
        assert "another node works on this database since" in said
        assert identity in said

    assert first.overview() == before
    first.kill()
    start(first)
    assert "lease_awaited" not in first.log()
    assert first.stop() == 0
    tally.note(
        "a second node on a database that another one works on",
        "started with a new folder, a known one, a copied one, and with --new-folder",
        "refused each time with a sentence; the first one's series and results as before, and the"
        " next start after its kill waits for nobody",
    )


@pytest.mark.long
def test_a_node_that_was_replaced_while_it_stood_still_stops_and_says_so(
    make_node: MakeNode, pacs: StandInPacs, chest: Path, tally: Tally
) -> None:
    first, second = make_node(pacs.port), make_node(pacs.port)
    start(first)
    beside(first, second, known=False)
    without = shutil.ignore_patterns("node.sqlite*", "node.lock", "node.running")
    shutil.copytree(first.folder / "data", second.folder / "data", ignore=without)
    stand_still(first)

    start(second)
    assert first.process is not None
    first.process.send_signal(signal.SIGCONT)

    assert first.process.wait(60) == 1
    assert "another node has taken the database over" in " ".join(first.log().split())
    condition = read_condition(first.folder / "data")
    assert condition is not None
    assert "lease" in [fault.part for fault in condition.faults]
    list(send(outgoing_files(chest)[0], second.peer, calling_ae="SCANNER"))
    second.wait_for_state("delivered")
    assert second.stop() == 0
    tally.note(
        "a node that stood still while another one took its database over",
        "its process stopped, and continued after the other one had started",
        "it ended and said so; the other one went on",
    )
