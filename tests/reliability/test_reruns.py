"""A storm of `reprocess` and `reissue` against a running node: nothing lost, doubled or stuck."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from config.reader import load
from dicom_node.cli.app import app
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.demo.stand_in_pacs import StandInPacs
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.engine import open_database
from storage.database.schema import ResultObject
from storage.database.sessions import Sessions
from storage.overview import SeriesLine
from tests.reliability.tally import Tally, times
from tests.support.light_analysis import KINDS
from tests.support.node_process import INI, NodeProcess, free_port, wait_until

SERIES = 3
GROWTH_BYTES = 100 << 20  #: of the node's own process; generous

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def node(tmp_path: Path, pacs: StandInPacs) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path, free_port())
    node.ini.write_text(INI.format(port=node.port, pacs_port=pacs.port, quiet=0.5, more=""))
    with (tmp_path / "node.log").open("w") as log:
        command = [sys.executable, "-m", "tests.support.light_node", str(node.ini)]
        node.process = subprocess.Popen(command, stdout=log, stderr=log)
    wait_until(node.answers, seconds=60, what="the node's start")
    yield node
    if node.process.poll() is None:
        node.kill()


def send_series(node: NodeProcess, seed: int) -> str:
    made = phantom_datasets(make_phantom(PhantomSpec(slices=4, size=32)), seed=seed)
    folder = node.folder / f"series-{seed}"
    write_series(made, folder)
    files = [OutgoingFile.of(path) for path in sorted(folder.glob("*.dcm"))]
    for _, outcome in send(files, node.peer, calling_ae="CT1"):
        assert outcome.verdict is Verdict.ACCEPTED
    return str(made[0].SeriesInstanceUID)


def is_idle(lines: Sequence[SeriesLine]) -> bool:
    return all((line.state, line.wish) == ("delivered", None) for line in lines)


def objects(node: NodeProcess) -> set[str]:
    """SOP Instance UIDs of all results that were ever made."""
    database = open_database(load(node.ini).database_url)
    with Sessions(database).reading() as session:
        found = set(session.scalars(select(ResultObject.sop_instance_uid)))
    database.dispose()
    return found


def test_a_storm_of_reruns(node: NodeProcess, pacs: StandInPacs, tally: Tally) -> None:
    at_once, in_a_row = times(4, 20), times(20, 200)
    uids = [send_series(node, seed) for seed in range(SERIES)]
    wait_until(lambda: len(pacs.received) == SERIES * len(KINDS), seconds=60, what="first results")
    assert node.process is not None
    memory = psutil.Process(node.process.pid).memory_info()

    next((node.folder / "data" / "results").rglob("*.dcm")).unlink()  # it is made anew, once

    command = [sys.executable, "-m", "dicom_node", "reprocess", "--config", str(node.ini), *uids]
    storm = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(at_once)]
    late = send_series(node, SERIES)
    wait_until(lambda: len(node.overview().series) > SERIES, seconds=20, what="its row")
    accepted = 0
    for call in range(in_a_row):
        command = "reissue" if call % 5 == 4 else "reprocess"
        answer = CliRunner().invoke(app, [command, *uids, late, "--config", str(node.ini)])
        assert answer.exit_code in ({0, 1} if command == "reissue" else {0}), answer.output
        accepted += answer.output.count("will be analysed again")
    assert [process.wait(120) for process in storm] == [0] * at_once

    wait_until(lambda: is_idle(node.overview().series), seconds=120, what="the end of the reruns")
    made = sorted(line.revision or 0 for line in node.overview().series)
    assert made == [*[1] * SERIES, 2]
    assert accepted > SERIES
    sent = [uid for uid, _ in pacs.received]
    assert len(sent) == len(set(sent))
    assert set(sent) == objects(node)
    assert len(sent) == sum(made) * len(KINDS)
    grown = psutil.Process(node.process.pid).memory_info().rss - memory.rss
    assert grown < GROWTH_BYTES
    assert node.stop() == 0
    tally.note(
        "a storm of `reprocess` and `reissue` against a running node",
        f"{at_once} processes at once beside {in_a_row} calls in a row, for {SERIES + 1} series",
        "a result whose file was gone made anew once, all others as before; 0 lost, 0 doubled, 0"
        f" stuck; the node's own process took {max(0, grown) >> 20} MiB more",
    )
