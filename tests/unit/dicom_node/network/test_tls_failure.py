"""A failed handshake is told, once, to whoever asked for it, also where an event loop makes it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from dicom_node.network.tls_failure import ON_TLS_FAILURE, ReportingContext


@pytest.fixture
def told() -> Iterator[list[str]]:
    reasons: list[str] = []
    token = ON_TLS_FAILURE.set(reasons.append)
    yield reasons
    ON_TLS_FAILURE.reset(token)


def shake_hands(received: bytes) -> None:
    """Begin a handshake as a server that has received these bytes."""
    incoming = ssl.MemoryBIO()
    incoming.write(received)
    context = ReportingContext(ssl.PROTOCOL_TLS_SERVER)
    context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True).do_handshake()


def test_what_is_no_handshake_is_told(told: list[str]) -> None:
    with pytest.raises(ssl.SSLError):
        shake_hands(b"GET / HTTP/1.0\r\n\r\n")
    assert len(told) == 1
    assert told[0]


def test_a_handshake_that_has_not_come_is_waited_for(told: list[str]) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        shake_hands(b"")
    assert told == []


def test_nobody_need_be_told() -> None:
    with pytest.raises(ssl.SSLError):
        shake_hands(b"GET / HTTP/1.0\r\n\r\n")
