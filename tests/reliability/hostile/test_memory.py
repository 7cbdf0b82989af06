"""Measured memory of the node's own process while strangers send what would fill it."""

from __future__ import annotations

import socket
import struct
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path

import httpx
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.store_scu import echo
from dicom_node.network import command_set as cs
from dicom_node.network.pynetdicom_internals.pdu import COMMAND, DATA_SET
from dicom_node.network.status_codes import SUCCESS
from tests.reliability.odd.node import Message, message
from tests.reliability.odd.series import series
from tests.reliability.tally import Tally, times
from tests.support.node_process import NodeProcess, free_port, ini_text
from tests.support.peers.wire_client import (
    ECHO_CONTEXT,
    EXPLICIT,
    WireClient,
    command,
    packed,
    pdu,
    values,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
MEGABYTE = 1 << 20
NODE_BYTES = 400 * MEGABYTE  #: the node's own process stays below, its workers aside
BOMB_BYTES = 50 * MEGABYTE  #: what one small data set inflates to
SERIES_UID = "2.25.98"
SENDERS = 20
ENDED = ("unsuitable", "failed")  #: states
WEB = """
[dicomweb]
port = {port}
[engine]
attempts = 2
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    folder = tmp_path_factory.mktemp("hostile")
    node = NodeProcess(folder, free_port())
    web = free_port()
    more = WEB.format(port=web)
    node.ini.write_text(ini_text(folder, port=node.port, pacs_port=free_port(), quiet=1, more=more))
    (folder / "web").write_text(str(web))
    node.start()
    yield node
    node.stop()


def most(node: NodeProcess) -> int:
    """The most memory that the node's own process has had in this life, bytes (proc(5), VmHWM)."""
    assert node.process is not None
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def bombs(number: int) -> Iterator[Message]:
    """A series of slices of which each inflates to fifty megabytes, in fifty kilobytes."""
    element = struct.pack("<HH2sHL", 0x7FDF, 0x1001, b"OB", 0, BOMB_BYTES)
    held = squeezed(element + bytes(BOMB_BYTES), zlib.Z_SYNC_FLUSH)
    for index, ds in zip(range(number), cycle(series()), strict=False):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.99.{index}"
        ds.SeriesInstanceUID = SERIES_UID
        made = message(ds)
        at = made.body.index(b"\xe0\x7f\x10\x00")
        head = squeezed(made.body[:at], zlib.Z_SYNC_FLUSH)
        body = head + held + squeezed(made.body[at:], zlib.Z_FINISH)
        yield Message(uid=made.uid, body=body)


def squeezed(data: bytes, end: int) -> bytes:
    """A piece of a deflated stream, which others may follow or go before."""
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush(end)


def send(node: NodeProcess, messages: Iterator[Message], syntax: str = EXPLICIT) -> list[int]:
    statuses = []
    with WireClient(("127.0.0.1", node.port), seconds=120) as client:
        assert client.associate(syntax) == 2
        for each in messages:
            client.send(each.stream)
            statuses.append(int.from_bytes(client.answer().elements[0x0900], "little"))
        assert client.release() == 6
    return statuses


def test_a_series_that_inflates_without_end(node: NodeProcess, tally: Tally) -> None:
    """Killed again and again while it has the series; then left alone."""
    files, lives, peaks = times(20, 40), times(1, 7), []

    assert set(send(node, bombs(files), DeflatedExplicitVRLittleEndian)) == {SUCCESS}
    for _ in range(lives):
        node.wait_for_state("analysing", *ENDED, seconds=600)
        peaks.append(most(node))
        node.kill()
        node.start()
    node.wait_for_state(*ENDED, seconds=900)

    (line,) = node.overview().series
    peaks.append(most(node))
    assert max(peaks) < NODE_BYTES
    tally.note(
        "a series of small deflated data sets that inflate without end",
        f"{files} of {BOMB_BYTES // MEGABYTE} MiB each, {lives} kills of the node meanwhile",
        f"the node's own process had {max(peaks) // MEGABYTE} MiB at most; the series ended as"
        f" {line.state}",
    )


def endless(node: NodeProcess, field: int, most_bytes: int, ended: threading.Event) -> int:
    """Send the data set of a message without end, and again when the node hangs up."""
    sent, fragment = 0, bytes(16_000)
    request = command(
        (cs.COMMAND_FIELD, struct.pack("<H", field)),
        (cs.MESSAGE_ID, b"\1\0"),
        (cs.DATA_SET_TYPE, b"\1\0"),
    )
    begin = packed(values(ECHO_CONTEXT, COMMAND, request, [90]), [1])
    piece = pdu([(ECHO_CONTEXT, DATA_SET, fragment)])
    while sent < most_bytes and not ended.is_set():
        with suppress(OSError), WireClient(("127.0.0.1", node.port)) as client:
            if client.associate() != 2:
                continue
            client.send(begin)
            while sent < most_bytes:
                client.socket.sendall(piece)
                sent += len(piece)
    return sent


def test_messages_without_end(node: NodeProcess, tally: Tally) -> None:
    each, ended = times(50, 500) * MEGABYTE, threading.Event()
    fields = [cs.C_ECHO_RQ, 0x0130, 0x0100, 0x0020]

    with ThreadPoolExecutor(SENDERS) as pool:
        senders = [
            pool.submit(endless, node, fields[n % len(fields)], each, ended) for n in range(SENDERS)
        ]
        served = [good_echo(node) for _ in range(20)]
        sent = sum(sender.result() for sender in senders)

    assert served == [True] * 20
    assert most(node) < NODE_BYTES
    tally.note(
        "C-ECHO and other messages with data sets without end",
        f"{sent // MEGABYTE:,} MiB over {SENDERS} associations at once",
        f"the node's own process had {most(node) // MEGABYTE} MiB at most; 20 of 20 good C-ECHOs"
        " answered meanwhile",
    )


def good_echo(node: NodeProcess) -> bool:
    return echo(node.peer, calling_ae="GOOD").verdict is Verdict.ACCEPTED


@contextmanager
def idle_and_trickling(address: tuple[str, int], number: int) -> Iterator[None]:
    """Connections that say nothing, and such that send a head byte by byte."""
    ended = threading.Event()
    with ExitStack() as stack:
        made = [
            stack.enter_context(socket.create_connection(address, timeout=20))
            for _ in range(number)
        ]

        def trickle() -> None:
            for byte in b"POST /studies HTTP/1.1\r\nHost: " + b"x" * 5000:
                if ended.wait(0.1):
                    return
                for connection in made[::2]:
                    with suppress(OSError):
                        connection.sendall(bytes((byte,)))

        with ThreadPoolExecutor(1) as pool:
            pool.submit(trickle)
            try:
                yield
            finally:
                ended.set()


def test_web_connections_that_are_idle_or_trickle(node: NodeProcess, tally: Tally) -> None:
    port, number, tries = int((node.folder / "web").read_text()), 300, times(20, 200)
    with (
        idle_and_trickling(("127.0.0.1", port), number),
        httpx.Client(trust_env=False, timeout=30) as client,
    ):
        answers = [
            client.post(f"http://127.0.0.1:{port}/studies", content=b"").status_code
            for _ in range(tries)
        ]

    assert answers == [httpx.codes.UNSUPPORTED_MEDIA_TYPE] * tries  # heard, and understood
    assert most(node) < NODE_BYTES
    tally.note(
        "idle and trickling STOW-RS connections",
        f"{number} at once, {tries} good requests meanwhile",
        f"every request answered; the node's own process had {most(node) // MEGABYTE} MiB at most",
    )
