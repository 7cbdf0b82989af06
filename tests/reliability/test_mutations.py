"""Damaged bytes, on the wire and in files, are reported and harm no other sender."""

from __future__ import annotations

import io
import logging
import random
import socket
import threading
import time
import warnings
from collections.abc import Iterator

import psutil
import pytest
import structlog
from pydicom import Dataset, dcmread, dcmwrite

from dicom_node.network.status_codes import SUCCESS
from pipeline.errors import PipelineError
from pipeline.series.image_rules import SelectionRules
from pipeline.series.volume import assemble
from tests.reliability.mutations import mutated
from tests.reliability.receiving import phantom, running, slices, stored
from tests.reliability.tally import Tally, times
from tests.support.eligibility import why_not
from tests.support.peers.wire_client import (
    RELEASE,
    WireClient,
    association_request,
)
from tests.support.reception import Reception

__all__ = ["running", "slices"]  # fixtures
HEADERS = 1200  #: bytes at the start of a file that hold most of its attributes
PATIENCE = 0.2  #: seconds a sender of nonsense waits for the node to hang up
MEMORY_BYTES = 200 << 20  #: more than this the process must not grow


def part10(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def conversation(body: bytes, number: int) -> bytes:
    """A whole association: request, one C-STORE, release."""
    return association_request() + stored(body, number) + RELEASE


def say(address: tuple[str, int], stream: bytes) -> None:
    """Send bytes and hang up; the node may hang up first."""
    with WireClient(address, seconds=PATIENCE) as client:
        try:
            client.send(stream)
            client.socket.shutdown(socket.SHUT_WR)
            while client.socket.recv(4096):
                continue
        except OSError:
            return


def store_well(address: tuple[str, int], body: bytes, number: int) -> int:
    with WireClient(address) as client:
        assert client.associate() == 2
        client.send(stored(body, number))
        return int.from_bytes(client.answer().elements[0x0900], "little")


@pytest.fixture
def quiet() -> Iterator[None]:
    """Without the log of pynetdicom: pytest would keep every traceback, and what it holds."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("quiet")
def test_damaged_conversations_leave_the_node_alive(
    running: Reception, slices: list[bytes], tally: Tally
) -> None:
    rng, tries = random.Random(20261123), times(400, 10_000)
    body = slices[0]
    good = conversation(body, 0)
    process, faults = psutil.Process(), 0
    store_well(running.address, body, 0)
    memory = process.memory_info().rss
    with structlog.testing.capture_logs() as lines:
        for number in range(tries):
            if number % 2:
                stream = conversation(mutated(body, rng, end=HEADERS), number)
            else:
                stream = mutated(good, rng, end=HEADERS)
            say(running.address, stream)
            if number % 100 == 99:
                faults += store_well(running.address, body, number + 1_000_000) != SUCCESS
    assert faults == 0
    assert [line for line in lines if line["event"] == "job_failed"] == []
    assert process.memory_info().rss - memory < MEMORY_BYTES
    assert threads_end()
    tally.note(
        "damaged bytes on the wire or in the data set harm nobody else",
        f"{tries:,} mutated conversations",
        f"0 crashes, 0 of {tries // 100} good instances between them refused, no thread left",
    )


def threads_end() -> bool:
    """Whether every association's threads come to their end."""
    deadline = time.monotonic() + 15
    pause = threading.Event()
    while any("AcceptorThread" in thread.name for thread in threading.enumerate()):
        if time.monotonic() > deadline:
            return False
        pause.wait(0.1)
    return True


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_damaged_files_are_judged_not_crashed_upon(tally: Tally) -> None:
    rng, tries = random.Random(7), times(150, 3_000)
    rules = SelectionRules(min_slices=30, min_coverage_mm=0)
    files = [part10(ds) for ds in phantom()]
    found = {"assembled": 0, "refused": 0, "unreadable": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(tries):
            chosen = set(rng.sample(range(len(files)), rng.choice((1, 1, 3))))
            found[fate(files, chosen, rng, rules)] += 1
    tally.note(
        "a damaged file ends in a verdict, never in a crash",
        f"{tries:,} series with mutated files",
        ", ".join(f"{count:,} {fate}" for fate, count in found.items()),
    )
    assert sum(found.values()) == tries


def fate(files: list[bytes], chosen: set[int], rng: random.Random, rules: SelectionRules) -> str:
    """What becomes of a series of which some files are damaged."""
    series = []
    for index, data in enumerate(files):
        damaged = mutated(data, rng, end=HEADERS) if index in chosen else data
        try:
            series.append(dcmread(io.BytesIO(damaged)))
        except Exception:  # noqa: BLE001  # what reception finds out and quarantines
            return "unreadable"
    try:
        if why_not(series, rules) is not None:
            return "refused"
        assemble(series)
    except PipelineError:
        return "refused"
    return "assembled"
