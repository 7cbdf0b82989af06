"""A person is told why no association came about: the reason that the peer gave, if it gave one."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from dicom_node.network.association import HUNG_UP, Peer, associate
from dicom_node.network.pynetdicom_internals.pdu import PDU_HEADER
from dicom_node.network.sop_classes import STUDY_ROOT_FIND, VERIFICATION

ASSOCIATE_AC, ABORT = 2, 7  #: PDU types
ZEROS = bytes(1 << 16)


def strict(ae: AE) -> None:
    ae.require_called_aet = True


def another_service(ae: AE) -> None:
    ae.remove_supported_context(VERIFICATION)
    ae.add_supported_context(STUDY_ROOT_FIND)


def with_short_pdus(ae: AE) -> None:
    ae.maximum_pdu_size = 6


def willing(_: AE) -> None:
    pass


@contextmanager
def peer(prepare: Callable[[AE], None], *handlers: evt.EventHandlerType) -> Iterator[Peer]:
    ae = AE("OTHER")
    ae.add_supported_context(VERIFICATION)
    prepare(ae)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))
    assert server is not None
    try:
        port = server.socket.getsockname()[1]
        yield Peer(ae_title="PEER", host="127.0.0.1", port=port, timeout_seconds=5)
    finally:
        ae.shutdown()


def abort(event: evt.Event) -> None:
    event.assoc.abort()


@pytest.mark.parametrize(
    ("prepare", "handlers", "why"),
    [
        (strict, (), "rejected the association: Called AE title not recognised"),
        (another_service, (), "accepted none of the presentation contexts"),
        (with_short_pdus, (), "takes PDUs of 6 bytes at most: 8 expected"),
        (willing, ((evt.EVT_REQUESTED, abort),), HUNG_UP),
    ],
)
def test_the_reason_of_the_peer_is_told(
    prepare: Callable[[AE], None], handlers: tuple[evt.EventHandlerType, ...], why: str
) -> None:
    with peer(prepare, *handlers) as called:
        assoc, told = associate(called, [build_context(VERIFICATION)], calling_ae="US")
    assert not assoc.is_established
    assert told == f"PEER at 127.0.0.1:{called.port} {why}"


LONG = 0x7FFFFFFF  #: bytes that a PDU claims to have
FLOOD = 64 << 20  #: bytes after which the peer gives up here


@pytest.mark.parametrize("kind", [ASSOCIATE_AC, ABORT])
def test_a_pdu_longer_than_any_answer_is_not_read(kind: int) -> None:
    """It would be in memory as a whole before anybody looked at it."""
    taken: list[int] = []

    def flood(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(PDU_HEADER.pack(kind, LONG))
            for _ in range(FLOOD // len(ZEROS)):
                connection.sendall(ZEROS)
                taken.append(len(ZEROS))

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as peers:
        flooding = peers.submit(flood, listener)
        called = Peer(ae_title="PEER", host="127.0.0.1", port=listener.getsockname()[1])
        assoc, told = associate(called, [build_context(VERIFICATION)], calling_ae="US")
        flooding.result()

    assert not assoc.is_established
    assert told.endswith(HUNG_UP)
    assert sum(taken) < FLOOD // 2
