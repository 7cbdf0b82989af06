"""Workers that fetch their files are killed in the midst of it, under load: nothing is lost."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from dicom_node.analysis.fetch.private_folder import OF_A_TASK
from tests.reliability.tally import Tally, times
from tests.reliability.turns.hospital import SETTLE_SECONDS, Hospital, hospital, plain_slices
from tests.support.node_process import wait_until

WORKERS = ("one", "two")
PADDING_BYTES = 8 << 20  #: of each slice: fetching takes longer than anything else
KILLS = int(os.environ.get("RELIABILITY_KILLS", "200"))  #: of the long form
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3600)]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Hospital]:
    own = {name: tmp_path / f"fetched-{name}" for name in WORKERS}
    with hospital(tmp_path, [""], own) as running:
        yield running


def padded_slices(folder: Path) -> list[Dataset]:
    """Slices with much beside their pixels."""
    slices, noise = plain_slices(folder), random.Random(2)
    for ds in slices:
        block = ds.private_block(0x0029, "DICOM-NODE TEST", create=True)
        block.add_new(0x10, "OB", noise.randbytes(PADDING_BYTES))
    return slices


def left_by(folder: Path) -> list[Path]:
    """Files that a worker was fetching when it was killed; they stay until it is there again."""
    return list(folder.glob(f"{OF_A_TASK}*/*"))


def nothing_is_left(folder: Path) -> bool:
    return not any(left_by(folder / f"fetched-{name}") for name in WORKERS)


def test_killed_while_they_fetch_nothing_is_lost_or_doubled(
    running: Hospital, tmp_path: Path, tally: Tally
) -> None:
    slices = padded_slices(tmp_path / "source")
    moments, pause = random.Random(11), threading.Event()
    in_the_midst = 0

    with running.load(slices, tmp_path):
        for number in range(times(8, KILLS)):
            begun = running.begun_analyses()
            wait_until(
                lambda before=begun: running.begun_analyses() > before,
                seconds=SETTLE_SECONDS,
                what=f"an analysis\n{running.log()}",
            )
            pause.wait(moments.uniform(0, 1.5))
            if number % 8 == 7:
                running.kill("scheduler")  # the link of all of them
                continue
            name = WORKERS[number % 2]
            running.kill_worker(name)
            running.kills["worker"] += 1
            in_the_midst += bool(left_by(tmp_path / f"fetched-{name}"))

    running.settle()
    assert in_the_midst > 0
    wait_until(
        lambda: nothing_is_left(tmp_path), seconds=SETTLE_SECONDS, what="all workers there again"
    )
    tried, held = running.told()
    tally.note(
        "workers without the storage folder, and their scheduler, killed under load on PostgreSQL",
        f"{tried}, {len(slices) * PADDING_BYTES >> 20} MB each; {in_the_midst} of the workers while"
        " they fetched",
        held,
    )
