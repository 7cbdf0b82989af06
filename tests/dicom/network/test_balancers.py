"""Senders behind a load balancer are known by the address that its header names, no other."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest
import trustme

from dicom_node.network.addresses.proxy_protocol import OWN_CONNECTION
from dicom_node.network.pynetdicom_internals import proxied_server
from dicom_node.network.pynetdicom_internals.fast_store_provider import NOT_A_BALANCER
from dicom_node.network.pynetdicom_internals.message_bounds import AssociationLimits
from tests.support.node_process import wait_until
from tests.support.peers.balancer import BALANCER, balancing, block, line
from tests.support.peers.sink import RememberingSink
from tests.support.peers.wire_client import (
    STORE_CONTEXT,
    WireClient,
    association_request,
    packed,
    store_request,
    values,
)
from tests.support.reception import listening

ACCEPTED, REJECTED = 2, 3  #: PDU types
SCANNER, STRANGER = "10.1.2.3", "10.9.9.9"  #: addresses of senders
FEW = 3  #: headers that are awaited at a time
LONG = 600.0  #: seconds that no test lasts
SOON = 0.4  #: seconds
NO_HEADER = proxied_server.NO_HEADER


@dataclass
class Listening:
    memory: RememberingSink
    address: tuple[str, int]
    security: ssl.SSLContext | None  #: of senders

    def from_balancer(self, data: bytes) -> socket.socket:
        """Connect as the balancer does, and send some bytes."""
        connection = socket.create_connection(self.address, 20, source_address=(BALANCER, 0))
        connection.sendall(data)
        return connection


@pytest.fixture(params=[True, False], ids=["fast", "stock"], scope="module")
def is_fast(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=["plain", "tls"], scope="module")
def security(request: pytest.FixtureRequest) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Contexts of the receiver and of the sender."""
    if request.param == "plain":
        return None, None
    authority = trustme.CA()
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(theirs)
    return ours, theirs


@pytest.fixture(scope="module")
def behind(
    is_fast: bool, security: tuple[ssl.SSLContext | None, ssl.SSLContext | None]
) -> Iterator[Listening]:
    memory = RememberingSink()
    callers = ["SCANNER@10.1.0.0/16", "SCANNER@2001:db8::/32", f"SCANNER@{BALANCER}"]
    with listening(
        memory,
        callers=callers,
        fast=is_fast,
        tls=security[0],
        balancers=[f"{BALANCER}/32"],
    ) as address:
        yield Listening(memory, address, security[1])


HEADERS = [
    line(SCANNER),
    block(SCANNER),
    block("2001:db8::7"),
    OWN_CONNECTION,
    b"PROXY UNKNOWN\r\n",
]


@pytest.mark.parametrize("header", HEADERS)
def test_an_instance_comes_through_a_balancer(behind: Listening, header: bytes) -> None:
    before = len(behind.memory.kept)
    with (
        balancing(behind.address, header) as address,
        WireClient(address, tls=behind.security) as client,
    ):
        assert client.associate() == ACCEPTED
        request = values(STORE_CONTEXT, 1, store_request("1.2.3", 1), [60])
        client.send(packed([*request, *values(STORE_CONTEXT, 0, b"body", [4])], [1, 3]))
        assert client.answer().elements[0x0900] == b"\0\0"
        client.release()
    assert len(behind.memory.kept) == before + 1
    assert behind.memory.refused == []


@pytest.mark.parametrize("header", [line(STRANGER), block(STRANGER)], ids=["v1", "v2"])
def test_who_may_call_is_decided_by_the_address_that_is_named(
    behind: Listening, header: bytes
) -> None:
    with (
        balancing(behind.address, header) as address,
        WireClient(address, tls=behind.security) as client,
    ):
        assert client.associate() == REJECTED
    refusal = behind.memory.latest()
    assert (refusal.kind, refusal.address) == ("association_rejected", STRANGER)
    assert refusal.reason.endswith("its AE title may not call from this address")


def test_associations_are_counted_by_the_address_that_is_named(is_fast: bool) -> None:
    memory, limits = RememberingSink(), AssociationLimits(of_one_address=1)
    with (
        listening(memory, limits=limits, fast=is_fast, balancers=[BALANCER]) as address,
        balancing(address, block(SCANNER)) as first,
        balancing(address, block("10.1.2.4")) as second,
        WireClient(first) as one,
        WireClient(second) as another,
        WireClient(first) as too_many,
    ):
        assert (one.associate(), another.associate()) == (ACCEPTED, ACCEPTED)
        assert too_many.associate() == REJECTED
        assert memory.latest().address == SCANNER


def test_who_hangs_up_behind_a_header_is_known_by_the_address_that_it_names(
    behind: Listening,
) -> None:
    with behind.from_balancer(block(STRANGER)):
        pass
    assert behind.memory.latest().address == STRANGER


@pytest.mark.parametrize("header", [line(SCANNER), block(SCANNER)], ids=["v1", "v2"])
def test_nobody_else_is_believed(behind: Listening, is_fast: bool, header: bytes) -> None:
    with socket.create_connection(behind.address, 20) as connection:
        connection.sendall(header + association_request())
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    refusal = behind.memory.latest()
    assert (refusal.kind, refusal.address) == ("association_broken", "127.0.0.1")
    if behind.security is not None:
        assert refusal.reason == "it does not speak TLS"
    elif is_fast:
        assert refusal.reason == NOT_A_BALANCER


WITHOUT_HEADER = {
    "a request": (association_request(), f"{NO_HEADER}: DICOM came instead"),
    "TLS": (b"\x16\3\1\2\0\1\0\1\xfc\3\3" + bytes(80), f"{NO_HEADER}: TLS came instead"),
    "rubbish": (bytes(40), f"{NO_HEADER}: something else came instead"),
    "a port too large": (line(SCANNER, 65536), f"{NO_HEADER}: expected ports of at most 65535"),
    "half a header": (block(SCANNER)[:20], proxied_server.CUT_OFF),
    "nothing": (b"", proxied_server.SENT_NOTHING),
}


@pytest.mark.parametrize("name", WITHOUT_HEADER)
def test_a_balancer_without_a_header_is_turned_away(behind: Listening, name: str) -> None:
    data, reason = WITHOUT_HEADER[name]
    with behind.from_balancer(data) as connection, suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    refusal = behind.memory.latest()
    assert (refusal.kind, refusal.address) == ("association_broken", BALANCER)
    assert refusal.reason == reason


@pytest.mark.parametrize("header", [OWN_CONNECTION, b"PROXY UNKNOWN\r\n", line(BALANCER)])
def test_a_health_check_of_a_balancer_leaves_no_trace(behind: Listening, header: bytes) -> None:
    with behind.from_balancer(header) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert behind.memory.refused == []


@pytest.mark.parametrize("security", ["plain"], indirect=True)  # else a handshake follows
def test_a_header_may_come_byte_by_byte_and_with_what_follows(behind: Listening) -> None:
    for header in (line(SCANNER), block(SCANNER)):
        client = WireClient(behind.address)
        with behind.from_balancer(b"") as client.socket:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.send(header[:-1], [1])
            client.send(header[-1:] + association_request())
            assert client.read_pdu()[0] == ACCEPTED
            client.release()


def test_who_keeps_silent_keeps_nobody_waiting(behind: Listening) -> None:
    with (
        ExitStack() as silent,
        balancing(behind.address, block(SCANNER)) as address,
    ):
        for start in (b"", b"PROXY", OWN_CONNECTION):
            silent.enter_context(behind.from_balancer(start))
        with WireClient(address, tls=behind.security) as client:
            assert client.associate() == ACCEPTED
            client.release()
    wait_until(lambda: len(behind.memory.refused) == 2, seconds=20, what="two that hung up")
    behind.memory.refused.clear()


def test_a_header_that_does_not_come_is_not_waited_for(
    behind: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxied_server, "HEADER_SECONDS", SOON)
    with behind.from_balancer(b"PROXY TCP4 ") as connection:
        assert connection.recv(1) == b""
    assert behind.memory.latest().reason == f"{NO_HEADER}: the peer is too slow"


def test_no_more_headers_than_a_bound_are_awaited(
    behind: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxied_server, "MAXIMUM_AWAITED", FEW)
    with ExitStack() as silent:
        for _ in range(FEW):
            silent.enter_context(behind.from_balancer(b""))
        with behind.from_balancer(b"") as one_more:
            assert one_more.recv(1) == b""
        assert behind.memory.latest().reason == "too many headers of balancers are awaited"
    wait_until(lambda: len(behind.memory.refused) == FEW, seconds=20, what="all that hung up")
    behind.memory.refused.clear()
    with behind.from_balancer(OWN_CONNECTION) as again:
        again.shutdown(socket.SHUT_WR)
        assert again.recv(1) == b""
    assert behind.memory.refused == []


def test_a_stop_waits_for_no_header(is_fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxied_server, "HEADER_SECONDS", LONG)
    memory = RememberingSink()
    with (
        ExitStack() as silent,
        listening(memory, fast=is_fast, balancers=[BALANCER]) as address,
        balancing(address, block(SCANNER)) as behind,
    ):
        waiting = Listening(memory, address, None)
        for start in (b"", OWN_CONNECTION):
            silent.enter_context(waiting.from_balancer(start))
        with WireClient(behind) as client:
            assert client.associate() == ACCEPTED
    assert [one.reason for one in memory.refused] == [proxied_server.SENT_NOTHING]
