"""Many senders at once, and connections that send nothing: good senders are served."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from pydicom import Dataset
from sqlalchemy import func, select

from dicom_node.network.status_codes import SUCCESS
from storage.database.schema import Instance, Series
from tests.reliability.receiving import body_of, phantom, running, slices, stored
from tests.reliability.tally import Tally, times
from tests.support.node_process import wait_until
from tests.support.peers.wire_client import WireClient, association_request
from tests.support.reception import Reception

__all__ = ["running", "slices"]  # fixtures
MEMORY_BYTES = 300 << 20  #: more than this the process must not grow
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def send_many(running: Reception, body: bytes, sender: int, count: int) -> list[int]:
    """One association, held open with the others, that sends so many instances."""
    statuses = []
    with WireClient(running.address, seconds=120) as client:
        if client.associate() != 2:
            return []
        for number in range(count):
            client.send(stored(body, sender * 1000 + number))
            statuses.append(int.from_bytes(client.answer().elements[0x0900], "little"))
        assert client.release() == 6
    return statuses


def test_fifty_associations_at_once(running: Reception, tally: Tally, slices: list[bytes]) -> None:
    associations, count = 50, times(4, 200)
    memory = psutil.Process().memory_info().rss
    gate = threading.Barrier(associations)

    def sender(number: int) -> list[int]:
        gate.wait()
        return send_many(running, slices[number % len(slices)], number, count)

    with ThreadPoolExecutor(associations) as pool:
        answers = list(pool.map(sender, range(associations)))

    assert [statuses for statuses in answers if statuses != [SUCCESS] * count] == []
    running.index.stop()
    with running.resources.sessions() as session:
        rows = session.scalar(select(func.count()).select_from(Instance))
    assert rows == associations * count
    assert psutil.Process().memory_info().rss - memory < MEMORY_BYTES
    tally.note(
        "50 associations at once",
        f"{associations * count:,} instances",
        "0 associations rejected, 0 instances refused or lost",
    )


def series_of(number: int, instances: int, bodies: list[Dataset]) -> list[bytes]:
    """Data sets of a series of its own, as they go over the wire."""
    made = []
    for index in range(instances):
        ds = bodies[index % len(bodies)]
        ds.SeriesInstanceUID = f"1.2.3.{number}"
        made.append(body_of(ds))
    return made


def send_series(running: Reception, number: int, bodies: list[bytes]) -> list[int]:
    with WireClient(running.address, seconds=120) as client:
        assert client.associate() == 2
        statuses = []
        for index, body in enumerate(bodies):
            client.send(stored(body, number * 10_000 + index))
            statuses.append(int.from_bytes(client.answer().elements[0x0900], "little"))
        assert client.release() == 6
    return statuses


def counted(running: Reception) -> dict[str, int]:
    """Series to the number of its instances, once all have their rows."""
    running.index.stop()
    with running.resources.sessions() as session:
        rows = session.execute(select(Series.series_instance_uid, Series.instances))
        return {row.series_instance_uid: row.instances for row in rows}


@pytest.mark.parametrize(
    ("promise", "senders", "per_sender", "instances"),
    [
        ("20 series at once", 20, 1, times(20, 300)),
        ("an hour's peak of a hospital, as fast as it comes", 6, times(2, 10), times(30, 150)),
    ],
)
def test_many_series_are_all_complete(
    running: Reception, tally: Tally, promise: str, senders: int, per_sender: int, instances: int
) -> None:
    """Each sender sends one series after the other, each over an association of its own."""
    datasets, process = phantom(), psutil.Process()
    series = [series_of(number, instances, datasets) for number in range(senders * per_sender)]
    memory, threads = process.memory_info().rss, process.num_threads()

    def sender(number: int) -> set[int]:
        numbers = range(number * per_sender, (number + 1) * per_sender)
        return {status for one in numbers for status in send_series(running, one, series[one])}

    with ThreadPoolExecutor(senders) as pool:
        assert set().union(*pool.map(sender, range(senders))) == {SUCCESS}

    assert counted(running) == {f"1.2.3.{n}": instances for n in range(senders * per_sender)}
    assert process.memory_info().rss - memory < MEMORY_BYTES
    wait_until(lambda: process.num_threads() <= threads, seconds=20, what="the threads' end")
    tally.note(
        promise,
        f"{senders * per_sender} series of {instances} instances by {senders} senders",
        "every series complete, no instance refused, no thread left",
    )


def test_silent_and_slow_connections_keep_no_sender_away(
    running: Reception, tally: Tally, slices: list[bytes], tmp_path: Path
) -> None:
    """More of each kind than associations may be open (100): half-open, slow, garbage."""
    del tmp_path
    request = association_request()
    silent = [socket.create_connection(running.address, timeout=30) for _ in range(60)]
    slow = [socket.create_connection(running.address, timeout=30) for _ in range(30)]
    for connection in slow:
        connection.sendall(request[:40])
    scanners = 60
    for number in range(scanners):
        with socket.create_connection(running.address, timeout=30) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n" if number % 2 else b"\x16\x03\x01\x02")
    answers = [send_many(running, slices[0], sender, 2) for sender in range(5)]
    assert answers == [[SUCCESS] * 2] * 5
    for connection in (*silent, *slow):  # none of them is kept for ever
        connection.settimeout(40)
        assert _ended(connection)
        connection.close()
    tally.note(
        "half-open, slow and nonsensical connections",
        f"{len(silent)} silent, {len(slow)} slow, {scanners} port scans at once",
        "good senders served meanwhile; every such connection closed by the node",
    )


def test_who_hangs_up_at_once_leaves_nothing_behind(
    running: Reception, slices: list[bytes]
) -> None:
    """Three times as many as may be silent at once: none of them counts when it is gone."""
    for _ in range(300):
        with socket.create_connection(running.address, timeout=30) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            assert _ended(connection)
    assert send_many(running, slices[0], 0, 2) == [SUCCESS] * 2


def _ended(connection: socket.socket) -> bool:
    """Whether the node closes a connection, with an abort before or without."""
    try:
        while connection.recv(4096):
            continue
    except TimeoutError:
        return False
    except OSError:
        return True
    return True
