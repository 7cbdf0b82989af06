"""Every part of a hospital is killed in turn under load: nothing is lost, nothing twice.

Once a node of its own with workers that see its folder; once two receivers that share PostgreSQL
and a folder, with workers that fetch; once the same with folders of their own, and their files in
a bucket. Scheduler and workers are the product's commands, over TLS.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.reliability.tally import Tally, times
from tests.reliability.turns.hospital import Hospital, hospital, plain_slices

ROUND = 10  #: kills between two looks at everything
KILLS = int(os.environ.get("RELIABILITY_KILLS", "1000"))  #: of the long form
BUCKET_KILLS = int(os.environ.get("BUCKET_KILLS", "60"))  #: of that with a bucket
RECEIVER_KILLS = int(os.environ.get("RECEIVER_KILLS", "200"))  #: of that with two receivers
pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(3 * 3600)]


@pytest.fixture
def one_node(tmp_path: Path) -> Iterator[Hospital]:
    with hospital(tmp_path, [""], {"one": None, "two": None}) as running:
        yield running


@pytest.fixture
def two_receivers(tmp_path: Path) -> Iterator[Hospital]:
    own = {name: tmp_path / f"fetched-{name}" for name in ("one", "two")}
    with hospital(tmp_path, ["a", "b"], own) as running:
        yield running


@pytest.fixture
def two_with_a_bucket(tmp_path: Path) -> Iterator[Hospital]:
    own = {name: tmp_path / f"fetched-{name}" for name in ("one", "two")}
    with hospital(tmp_path, ["a", "b"], own, with_bucket=True) as running:
        yield running


def kill_in_turn(
    hospital: Hospital, parts: Sequence[str], wanted: int, folder: Path
) -> Iterator[None]:
    """Kill one part after the other while series come in; after each round all is as promised."""
    slices = plain_slices(folder / "source")
    moments, pause = random.Random(7), threading.Event()
    while (done := hospital.kills.total()) < wanted:
        with hospital.load(slices, folder):
            for number in range(done, min(done + ROUND, wanted)):
                pause.wait(moments.uniform(0.2, 1.5))
                hospital.kill(parts[number % len(parts)])
        hospital.settle()
        yield


def test_a_node_and_what_it_works_with_lose_and_double_nothing(
    one_node: Hospital, tmp_path: Path, tally: Tally
) -> None:
    parts = ("node", "worker", "scheduler", "database")
    for _ in kill_in_turn(one_node, parts, times(len(parts), KILLS), tmp_path):
        tally.note(
            "node, worker, scheduler and PostgreSQL killed in turn under load", *one_node.told()
        )


def test_two_receivers_and_what_they_work_with_lose_and_double_nothing(
    two_receivers: Hospital, tmp_path: Path, tally: Tally
) -> None:
    parts = ("active receiver", "worker", "standby", "scheduler", "database")
    for _ in kill_in_turn(two_receivers, parts, times(len(parts), RECEIVER_KILLS), tmp_path):
        tried, held = two_receivers.told()
        takeovers = sorted(two_receivers.receivers.takeovers)
        tally.note(
            "two receivers that share PostgreSQL and a folder, an external scheduler and two"
            " workers that fetch, killed (SIGKILL) in turn under load",
            tried,
            f"{held}; the other receiver took over in {takeovers[len(takeovers) // 2]:.1f} s"
            f" (median), {takeovers[-1]:.1f} s at most",
        )


def test_two_receivers_with_a_bucket_lose_and_double_nothing(
    two_with_a_bucket: Hospital, tmp_path: Path, tally: Tally
) -> None:
    parts = ("active receiver", "object store", "worker", "standby", "scheduler", "database")
    for _ in kill_in_turn(two_with_a_bucket, parts, times(len(parts), BUCKET_KILLS), tmp_path):
        tried, held = two_with_a_bucket.told()
        takeovers = sorted(two_with_a_bucket.receivers.takeovers)
        tally.note(
            "two receivers with folders of their own that share PostgreSQL and a bucket (SeaweedFS"
            " on one disk), an external scheduler and two workers that fetch, killed (SIGKILL) in"
            " turn under load",
            tried,
            f"{held}; the other receiver took over in {takeovers[len(takeovers) // 2]:.1f} s"
            f" (median), {takeovers[-1]:.1f} s at most",
        )
