"""Two node processes with one database: one works on it, the other is refused, and touches nothing.

Also: a node that was killed is followed at once where its folder is, without a wait.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config.reader import load
from dicom_node.cli.send import outgoing_files
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation
from tests.support.node_process import NodeProcess

MakeNode = Callable[..., NodeProcess]
pytestmark = pytest.mark.slow


def beside(first: NodeProcess, second: NodeProcess, *, known: bool) -> None:
    """Give the second node the database of the first, and a folder in which a node has run."""
    url = load(first.ini).database_url
    text = second.ini.read_text()
    second.ini.write_text(text.replace("folder = data\n", f"folder = data\ndatabase_url = {url}\n"))
    if known:
        folder = StorageFolder(second.folder / "data", 0)
        draw_installation(folder.root)


def refusal(node: NodeProcess, *options: str) -> str:
    """Start a node that must not start; return its last words."""
    command = [sys.executable, "-P", "-m", "dicom_node", "run", "--config", str(node.ini)]
    ended = subprocess.run([*command, *options], capture_output=True, timeout=100, check=False)
    assert ended.returncode == 1, ended.stderr.decode()
    return " ".join(ended.stderr.decode().split("error:")[-1].split())


def test_the_second_node_on_a_database_is_refused_and_the_first_goes_on(
    make_node: MakeNode, pacs: StandInPacs, chest: Path
) -> None:
    first = make_node(pacs.port)
    first.start()
    list(send(outgoing_files(chest)[0], first.peer, calling_ae="SCANNER"))
    first.wait_for_state("analysing")

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

    first.wait_for_state("delivered")
    (line,) = first.overview().series
    assert (line.attempts, line.reason, line.instances) == (1, "", 60)

    first.kill()
    first.start()
    assert "lease_awaited" not in first.log()
    assert first.stop() == 0
