"""Every limit of the receiver is met once: what is silent, slow or too long is cut off."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
import trustme

from dicom_node.network.pynetdicom_internals import fast_store_scp
from dicom_node.network.pynetdicom_internals.fast_store_provider import LENIENCE
from dicom_node.network.pynetdicom_internals.message_bounds import AssociationLimits
from dicom_node.network.pynetdicom_internals.pdu import MAXIMUM_COMMAND, PDV_HEADER
from dicom_node.network.pynetdicom_internals.read_ahead import READ_AHEAD
from tests.property.network.test_fast_store_scp import Memory
from tests.support.node_process import wait_until
from tests.support.peers.wire_client import (
    ECHO_CONTEXT,
    STORE_CONTEXT,
    WireClient,
    association_request,
    echo_request,
    packed,
    store_request,
    values,
)
from tests.support.reception import listening

SOON = 0.4  #: seconds; the limit in these tests
PATIENCE = 20  #: seconds; far more, so that only a limit that is missing is waited for
FEW = 5  #: silent connections in these tests
PDU = 131072  #: bytes, of the receiver in these tests


@pytest.fixture(params=["plain", "tls"])
def security(request: pytest.FixtureRequest) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Contexts of the receiver and of the sender."""
    if request.param == "plain":
        return None, None
    authority = trustme.CA()
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(theirs)
    return ours, theirs


def limits(silent_seconds: float, request_seconds: float) -> AssociationLimits:
    return AssociationLimits(silent_seconds=silent_seconds, request_seconds=request_seconds)


def is_cut_off(client: WireClient) -> bool:
    """Wait for the end of a connection: closed, or an A-ABORT first."""
    client.socket.settimeout(PATIENCE)
    try:
        while client.socket.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def trickle(client: WireClient, data: bytes, seconds: float = SOON / 4) -> bool:
    """Send byte by byte, each well within the limit; say whether the peer breaks off before."""
    client.socket.settimeout(seconds)
    for byte in data:
        try:
            client.socket.sendall(bytes([byte]))
            answer = client.socket.recv(4096)
        except TimeoutError:
            continue
        except OSError:
            return True
        if not answer or answer[0] == 7:
            return True
    return False


@pytest.mark.parametrize("fast", [True, False])
def test_who_asks_for_no_association_is_cut_off(fast: bool) -> None:
    with (
        listening(Memory(), limits=limits(60, SOON), fast=fast) as address,
        WireClient(address) as client,
    ):
        assert is_cut_off(client)


@pytest.mark.parametrize("fast", [True, False])
def test_who_says_nothing_within_an_association_is_cut_off(fast: bool) -> None:
    with (
        listening(Memory(), timeout_seconds=SOON, fast=fast) as address,
        WireClient(address) as client,
    ):
        assert client.associate() == 2
        assert is_cut_off(client)


def test_who_sends_a_message_byte_by_byte_is_cut_off(
    security: tuple[ssl.SSLContext | None, ssl.SSLContext | None],
) -> None:
    ours, theirs = security
    message = packed(values(STORE_CONTEXT, 1, store_request("1.2.3", 1), [99]), [1])
    with (
        listening(Memory(), timeout_seconds=SOON, tls=ours) as address,
        WireClient(address, tls=theirs) as client,
    ):
        assert client.associate() == 2
        assert trickle(client, message[:60])


@pytest.mark.parametrize("size", [300, READ_AHEAD + 1])
def test_who_sends_a_data_set_byte_by_byte_is_cut_off(size: int) -> None:
    request = packed(values(STORE_CONTEXT, 1, store_request("1.2.3", 1), [999]), [1])
    body = packed(values(STORE_CONTEXT, 0, bytes(size), [size]), [1])
    memory = Memory()
    with listening(memory, timeout_seconds=SOON) as address, WireClient(address) as client:
        assert client.associate() == 2
        client.send(request)
        assert trickle(client, body[:60])
    assert memory.kept == []


def test_who_asks_for_an_association_byte_by_byte_is_cut_off() -> None:
    with (
        listening(Memory(), limits=limits(SOON, SOON)) as address,
        WireClient(address) as client,
    ):
        assert trickle(client, association_request()[:60])


def test_who_waits_longest_without_a_request_makes_room_and_a_sender_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fast_store_scp, "MAXIMUM_SILENT", FEW)  # each of the hundred has a thread
    with (
        listening(Memory(), limits=limits(60, 60)) as address,
        ExitStack() as open_ones,
    ):
        silent = [
            open_ones.enter_context(socket.create_connection(address)) for _ in range(3 * FEW)
        ]
        wait_until(lambda: is_served(address), seconds=PATIENCE, what="a place for a sender")
        closed = [is_closed(connection) for connection in silent]
    assert closed[0]  # the first that came
    assert sum(closed) >= FEW


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(SOON)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False


def is_served(address: tuple[str, int]) -> bool:
    try:
        with WireClient(address) as client:
            return client.associate() == 2
    except ConnectionError:
        return False


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with listening(Memory()) as bound:
        yield bound


@pytest.mark.parametrize(("over", "taken"), [(0, True), (1, False)])
def test_a_pdu_may_be_a_little_longer_than_was_agreed_upon(
    address: tuple[str, int], over: int, taken: bool
) -> None:
    length = PDU + LENIENCE + over
    request = packed(values(STORE_CONTEXT, 1, store_request("1.2.3", 1), [999]), [1])
    with WireClient(address) as client:
        assert client.associate() == 2
        pdu = struct.pack(">BxLLBB", 4, length, length - 4, STORE_CONTEXT, 2) + bytes(length - 6)
        answered = False
        with suppress(ConnectionError):
            client.send(request + pdu)
            answered = client.read_pdu()[0] == 4
    assert answered is taken


@pytest.mark.parametrize(("over", "taken"), [(0, True), (2, False)])
def test_a_command_set_has_an_end(address: tuple[str, int], over: int, taken: bool) -> None:
    request = store_request("1.2.3", 1)
    rest = MAXIMUM_COMMAND - 3 * PDV_HEADER.size - len(request) - 8 + over
    long = request + struct.pack("<HHL", 0, 0x5110, rest) + bytes(rest)
    body = packed(values(STORE_CONTEXT, 0, b"body", [4]), [1])
    with WireClient(address) as client:
        assert client.associate() == 2
        client.send(packed(values(STORE_CONTEXT, 1, long, [30_000]), [1]) + body)
        assert client.read_pdu()[0] == (4 if taken else 7)


@pytest.mark.parametrize("longer", [1, 3, 4, 5])
def test_a_value_never_exceeds_its_pdu(address: tuple[str, int], longer: int) -> None:
    data = echo_request(1)
    value = struct.pack(">LBB", len(data) + 2 + longer, ECHO_CONTEXT, 3) + data
    with WireClient(address) as client:
        assert client.associate() == 2
        client.send(struct.pack(">BxL", 4, len(value)) + value)
        assert client.read_pdu()[0] == 7
