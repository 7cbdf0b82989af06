"""Callers turned away before an association exists are recorded by address and true reason."""

from __future__ import annotations

import random
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from dicom_node.network.pynetdicom_internals.message_bounds import AssociationLimits
from dicom_node.network.tls import client_context, server_context
from dicom_node.reception.refusals import Refusal
from tests.support.node_process import wait_until
from tests.support.peers.credentials import credentials, expired_credentials
from tests.support.peers.sink import RememberingSink
from tests.support.peers.wire_client import WireClient, association_request
from tests.support.reception import listening

ACCEPTED, REJECTED, ABORTED, CLOSED = 2, 3, 7, 0
SOON = 0.4  #: seconds, to ask for an association, in these tests


@dataclass
class Listening:
    memory: RememberingSink
    address: tuple[str, int]


@pytest.fixture(params=[True, False], ids=["fast", "stock"], scope="module")
def is_fast(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def plain(is_fast: bool) -> Iterator[Listening]:
    memory = RememberingSink()
    limits = AssociationLimits(request_seconds=SOON)
    with listening(memory, callers=["CT1"], limits=limits, fast=is_fast) as address:
        yield Listening(memory, address)


def titled(called: bytes = b"AINODE", calling: bytes = b"CT1", padding: bytes = b" ") -> bytes:
    request = association_request()
    titles = called.ljust(16, padding) + calling.ljust(16, padding)
    return request[:10] + titles + request[42:]


def answer(address: tuple[str, int], data: bytes) -> int:
    """Send some bytes; return the type of the PDU that answers, 0 at the end."""
    with WireClient(address) as client:
        client.send(data)
        try:
            return client.read_pdu()[0]
        except OSError:
            return CLOSED


@pytest.mark.parametrize("is_fast", [True], indirect=True)  # the stock path cannot read NUL
@pytest.mark.parametrize("after", [b"", b"\0xyz"], ids=["padding", "rubbish"])
def test_titles_padded_with_nul_are_known(plain: Listening, after: bytes) -> None:
    """PS3.8 9.3.2 pads with spaces; DCMTK and Orthanc read a title up to its first NUL."""
    assert answer(plain.address, titled(calling=b"CT1" + after, padding=b"\0")) == ACCEPTED
    assert plain.memory.refused == []


ODD_TITLES = [
    (titled(calling=b"ct1"), "its AE title is known in other upper and lower case only"),
    (titled(calling=b"CT2"), "its AE title is not one of those that may call"),
    (titled(called=b"OTHER"), "it called OTHER, this node is AINODE"),
]


@pytest.mark.parametrize(("request_pdu", "reason"), ODD_TITLES)
def test_titles_that_are_not_known_are_told_apart(
    plain: Listening, request_pdu: bytes, reason: str
) -> None:
    assert answer(plain.address, request_pdu) == REJECTED
    refusal = plain.memory.latest()
    assert (refusal.kind, refusal.address) == ("association_rejected", "127.0.0.1")
    assert refusal.reason.endswith(reason)
    assert refusal.calling_ae in {"CT1", "CT2", "ct1"}


UNREADABLE_TITLES = [
    (titled(calling=b""), "its AE title is blank"),
    (titled(calling=b"", padding=b"\0"), "its AE title is blank"),
    (
        titled(calling="RÖNTGEN".encode("latin-1")),
        "its AE title holds characters that a title may not have (PS3.5 6.2)",
    ),
    (
        titled(calling=b"A\\B"),
        "its AE title holds characters that a title may not have (PS3.5 6.2)",
    ),
    (titled(called=b""), "it called ?, this node is AINODE"),
]


@pytest.mark.parametrize(("request_pdu", "reason"), UNREADABLE_TITLES)
def test_titles_that_are_none_are_rejected_with_a_trace(
    plain: Listening, is_fast: bool, request_pdu: bytes, reason: str
) -> None:
    """The titles of an A-ASSOCIATE-RQ are of ISO 646, and not blank (PS3.8 9.3.2)."""
    assert answer(plain.address, request_pdu) == (REJECTED if is_fast else ABORTED)
    refusal = plain.memory.latest()
    expected = reason if is_fast else "its association request cannot be read"
    assert refusal.reason.endswith(expected)
    assert refusal.address == "127.0.0.1"


def cut(pdu: bytes, size: int) -> bytes:
    """Make a PDU of its first bytes, with the length that says so."""
    return pdu[:1] + b"\0" + struct.pack(">L", size - 6) + pdu[6:size]


FIRST_BYTES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "hung up without sending anything"),
    "half a header": (b"\1\0\0", "hung up in the midst of its association request"),
    "half a request": (association_request()[:50], ""),
    "a request cut short": (cut(association_request(), 100), "cannot be read"),
    "a request without items": (cut(association_request(), 20), "cannot be read"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "it speaks HTTP, this port speaks DICOM"),
    "TLS": (b"\x16\3\1\2\0\1\0\1\xfc\3\3" + bytes(80), "it speaks TLS, this port speaks DICOM"),
    "SSH": (b"SSH-2.0-OpenSSH\r\n", "it speaks SSH, this port speaks DICOM"),
    "a data PDU": (b"\4\0\0\0\0\0", "something else than an association request"),
    "a release": (bytes.fromhex("05000000000400000000"), "something else"),
    "garbage": (b"\xff" * 40, "something else than an association request"),
    "another version": (b"\1\0" + association_request()[2:6] + b"\0\2" + titled()[8:], "version"),
}


@pytest.mark.parametrize("name", FIRST_BYTES)
def test_what_is_no_association_request_leaves_a_trace(
    plain: Listening, is_fast: bool, name: str
) -> None:
    data, reason = FIRST_BYTES[name]
    with socket.create_connection(plain.address, timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        refusal = plain.memory.latest()
    assert (refusal.kind, refusal.address) == ("association_broken", "127.0.0.1")
    if is_fast:
        assert reason in refusal.reason


def test_who_asks_for_nothing_in_time_leaves_a_trace(plain: Listening) -> None:
    with socket.create_connection(plain.address):
        assert plain.memory.latest().reason == "it asked for no association in time"


def is_end(refusal: Refusal) -> bool:
    """Say whether a refusal ends an association: that of a context may come late."""
    return refusal.kind != "context_refused"


def test_no_mutated_request_ends_without_a_trace() -> None:
    """Every request is accepted, or leaves a trace; the connection ends in any case."""
    chance, original, memory = random.Random(15), titled(), RememberingSink()
    with listening(memory, callers=["CT1"]) as address:
        for _ in range(60):
            mutated = bytearray(original)
            for _ in range(chance.choice((1, 1, 2, 8))):
                mutated[chance.randrange(6, len(mutated))] = chance.randrange(256)
            with WireClient(address) as client:
                client.send(bytes(mutated))
                kind = client.read_pdu()[0]
                if kind != ACCEPTED:
                    wait_until(lambda: any(map(is_end, memory.refused)), seconds=20, what="one")
                memory.refused.clear()


Contexts = Callable[[Path, trustme.CA], ssl.SSLContext | None]


def without_certificate(folder: Path, authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def expired(folder: Path, authority: trustme.CA) -> ssl.SSLContext:
    return client_context(expired_credentials(folder, authority, "old"))


def foreign(folder: Path, authority: trustme.CA) -> ssl.SSLContext:
    context = client_context(credentials(folder, trustme.CA(), "stranger"))
    authority.configure_trust(context)
    return context


def distrustful(folder: Path, authority: trustme.CA) -> ssl.SSLContext:
    context = client_context(credentials(folder, authority, "distrustful"))
    other = ssl.create_default_context()
    other.load_verify_locations(str(credentials(folder, trustme.CA(), "x").authorities))
    other.load_cert_chain(folder / "distrustful.pem", folder / "distrustful.key")
    del context
    return other


BY_TLS: dict[str, tuple[Contexts, str]] = {
    "plain": (lambda *_: None, "it does not speak TLS"),
    "no certificate": (without_certificate, "it showed no certificate"),
    "expired": (expired, "its certificate has expired"),
    "foreign": (foreign, "its certificate is of no authority that we trust"),
    "distrustful": (distrustful, "it does not trust the authority of our certificate"),
}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(
    is_fast: bool, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Listening]:
    memory = RememberingSink()
    ours = credentials(tmp_path_factory.mktemp("tls"), authority, "node")
    context = server_context(ours, verify_peers=True)
    with listening(memory, tls=context, fast=is_fast) as address:
        yield Listening(memory, address)


@pytest.mark.parametrize("name", BY_TLS)
def test_who_fails_the_handshake_leaves_the_true_reason(
    secure: Listening, authority: trustme.CA, tmp_path: Path, name: str
) -> None:
    make, reason = BY_TLS[name]
    context = make(tmp_path, authority)
    with suppress(OSError), WireClient(secure.address, tls=context) as client:
        client.send(association_request())
        assert client.read_pdu()[0] != ACCEPTED
    refusal = secure.memory.latest()
    assert refusal.reason.startswith(reason)
    assert (refusal.kind, refusal.address) == ("association_broken", "127.0.0.1")
