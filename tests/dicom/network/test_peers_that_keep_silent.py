"""No wait for a peer is without end: for the association, and for the answer to each request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from dicom_node.network.association import Peer, associate
from dicom_node.network.query_scu import QueryFailed, archive, keys
from dicom_node.network.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_MOVE, VERIFICATION

T = TypeVar("T")
SOON = 0.4  #: seconds; the limit in these tests
PATIENCE = 20  #: seconds; a limit that is missing is waited for so long


def peer(port: int) -> Peer:
    return Peer(ae_title="PEER", host="127.0.0.1", port=port, timeout_seconds=SOON)


@contextmanager
def silent_peer() -> Iterator[Peer]:
    """Run a peer that accepts associations, and answers no request before the end."""
    over = threading.Event()

    def wait(_: evt.Event) -> int:
        over.wait(PATIENCE)
        return 0xA700

    def wait_and_yield(_: evt.Event) -> Iterator[object]:
        over.wait(PATIENCE)
        yield 0xA700, None

    ae = AE("PEER")
    for sop_class in (VERIFICATION, STUDY_ROOT_FIND, STUDY_ROOT_MOVE):
        ae.add_supported_context(sop_class)
    server = ae.start_server(
        ("127.0.0.1", 0),
        block=False,
        evt_handlers=[
            (evt.EVT_C_ECHO, wait),
            (evt.EVT_C_FIND, wait_and_yield),
            (evt.EVT_C_MOVE, wait_and_yield),
        ],
    )
    assert server is not None
    assert server.socket is not None
    try:
        yield peer(server.socket.getsockname()[1])
    finally:
        over.set()
        server.shutdown()


def in_time(work: Callable[[], T]) -> T:
    """Do something that is to come to an end by itself."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(PATIENCE / 2)


def test_a_connection_that_nobody_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        called = peer(listener.getsockname()[1])
        contexts = [build_context(VERIFICATION)]
        assoc, why = in_time(lambda: associate(called, contexts, calling_ae="US"))
    assert not assoc.is_established
    assert why


def test_a_peer_that_accepts_byte_by_byte_is_given_up() -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            wire, _ = listener.accept()
            with wire, suppress(OSError):
                wire.sendall(bytes((2, 0)) + (5000).to_bytes(4, "big"))  # an A-ASSOCIATE-AC
                while not over.wait(0.1):
                    wire.sendall(b"\0")

        trickling = threading.Thread(target=trickle)
        trickling.start()
        called = Peer(
            ae_title="PACS", host="127.0.0.1", port=listener.getsockname()[1], timeout_seconds=0.5
        )
        try:
            contexts = [build_context(VERIFICATION)]
            assoc, why = in_time(lambda: associate(called, contexts, calling_ae="US"))
        finally:
            over.set()
            trickling.join()
    assert not assoc.is_established
    assert why


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".invalid", "..", "\udcff"])
def test_a_host_whose_name_is_not_known_cannot_be_reached(host: str) -> None:
    nowhere = Peer(ae_title="PACS", host=host, port=104, timeout_seconds=5)
    assoc, why = associate(nowhere, [build_context(VERIFICATION)], calling_ae="US")
    assert not assoc.is_established
    assert why.endswith("cannot be reached: its name is not known")


def find(called: Peer) -> None:
    with archive(called, calling_ae="US") as asked:
        asked.find(keys("STUDY", PatientID="1"))


def move(called: Peer) -> None:
    with archive(called, calling_ae="US") as asked:
        asked.move(keys("STUDY", StudyInstanceUID="1.2"), "US")


@pytest.mark.parametrize(("request_", "name"), [(find, "C-FIND"), (move, "C-MOVE")])
def test_a_query_that_nobody_answers_fails(request_: Callable[[Peer], None], name: str) -> None:
    with silent_peer() as called, pytest.raises(QueryFailed, match=f"no answer to {name}"):
        in_time(lambda: request_(called))


def test_a_query_gives_no_more_matches_than_its_limit() -> None:
    def matches(_: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for number in range(5):
            yield 0xFF00, keys("STUDY", StudyInstanceUID=f"1.2.{number}")

    ae = AE("PEER")
    ae.add_supported_context(STUDY_ROOT_FIND)
    handlers: list[evt.EventHandlerType] = [(evt.EVT_C_FIND, matches)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    assert server.socket is not None
    called = Peer(ae_title="PEER", host="127.0.0.1", port=server.socket.getsockname()[1])
    try:
        with archive(called, calling_ae="US") as asked:
            found = asked.find(keys("STUDY", StudyInstanceUID=""), limit=3)
            everything = asked.find(keys("STUDY", StudyInstanceUID=""))
    finally:
        server.shutdown()
    assert [match.StudyInstanceUID for match in found] == ["1.2.0", "1.2.1", "1.2.2"]
    assert len(everything) == 5
