"""A header of the PROXY protocol is taken to its last byte and never further; nothing else is."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicom_node.network.addresses.proxy_protocol import (
    BLOCK,
    LONGEST_LINE,
    LONGEST_REST,
    OWN_CONNECTION,
    SIGNATURE,
    MalformedHeader,
    Sender,
    missing,
    read_sender,
)
from tests.support.peers.balancer import block, line
from tests.support.peers.wire_client import association_request

MOST = BLOCK.size + LONGEST_REST  #: bytes of the longest header
PORTS = st.integers(0, 65535)
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


def known_as(sender: str) -> str:
    """IPv4 mapped into IPv6 is IPv4, as of all connections."""
    return str(getattr(ipaddress.ip_address(sender), "ipv4_mapped", None) or sender)


def taken(stream: bytes, sizes: Sequence[int] = (MOST,)) -> bytes:
    """Take a header from a connection that gives so many bytes at a time, or fewer at its end."""
    header, turn = b"", 0
    while size := missing(header):
        piece = stream[len(header) :][: min(size, sizes[turn % len(sizes)])]
        if not piece:
            break
        header, turn = header + piece, turn + 1
    return header


@given(
    st.builds(line, ADDRESSES, PORTS)
    | st.builds(block, ADDRESSES, PORTS, st.binary(max_size=60))
    | st.just(OWN_CONNECTION)
    | st.just(b"PROXY UNKNOWN\r\n"),
    st.binary(max_size=30) | st.just(association_request()) | st.just(b"\r\n"),
    st.lists(st.integers(1, 20), min_size=1, max_size=5),
)
def test_nothing_behind_a_header_is_taken(header: bytes, tail: bytes, sizes: list[int]) -> None:
    assert taken(header + tail, sizes) == header


@given(ADDRESSES, PORTS, st.binary(max_size=60))
def test_the_sender_of_both_versions_is_the_one_named(sender: str, port: int, more: bytes) -> None:
    assert read_sender(line(sender, port)) == (known_as(sender), port)
    assert read_sender(block(sender, port, more)) == (known_as(sender), port)


@given(
    st.binary(max_size=300)
    | st.binary(max_size=120).map(lambda rest: b"PROXY " + rest)
    | st.binary(max_size=120).map(lambda rest: SIGNATURE + rest)
)
@example(b"PROXY " + bytes(200))
@example(SIGNATURE + b"\x21\x11\xff\xff" + bytes(5000))
def test_whatever_comes_is_a_header_or_malformed_and_has_an_end(stream: bytes) -> None:
    with suppress(MalformedHeader):
        header = taken(stream)
        assert len(header) <= (MOST if header.startswith(SIGNATURE) else LONGEST_LINE)
        if not missing(header):
            read_sender(header)


@given(st.builds(line, ADDRESSES, PORTS), st.integers(0, 40), st.integers(1, 255))
def test_a_line_with_one_other_byte_is_malformed_or_another_line(
    header: bytes, at: int, change: int
) -> None:
    at %= len(header)
    other = header[:at] + bytes([header[at] ^ change]) + header[at + 1 :]
    try:
        sender = read_sender(taken(other))
    except MalformedHeader:
        return
    assert sender is not None
    ipaddress.ip_address(sender[0])


WHOLE: list[tuple[bytes, Sender | None]] = [
    (b"PROXY TCP4 10.1.2.3 10.1.0.9 56324 104\r\n", ("10.1.2.3", 56324)),
    (b"PROXY TCP4 0.0.0.1 255.255.255.255 0 65535\r\n", ("0.0.0.1", 0)),
    (b"PROXY TCP6 2001:DB8::7 ::1 1 2\r\n", ("2001:db8::7", 1)),
    (b"PROXY TCP6 ::ffff:10.1.2.3 ::1 1 2\r\n", ("10.1.2.3", 1)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN \xff any\rthing\n\r\n", None),
    (b"PROXY UNKNOWN ".ljust(105, b"f") + b"\r\n", None),
    (OWN_CONNECTION, None),
    (BLOCK.pack(SIGNATURE, 0x20, 0x11, 12) + bytes(12), None),
    (BLOCK.pack(SIGNATURE, 0x20, 0xFF, 3) + bytes(3), None),
    (BLOCK.pack(SIGNATURE, 0x21, 0x00, 4) + bytes(4), None),
    (BLOCK.pack(SIGNATURE, 0x21, 0x31, 216) + bytes(216), None),
    (BLOCK.pack(SIGNATURE, 0x21, 0x12, 12) + bytes(12), None),
    (BLOCK.pack(SIGNATURE, 0x21, 0x11, 4080) + b"\n\1\2\3" + bytes(4076), ("10.1.2.3", 0)),
]


@pytest.mark.parametrize(("header", "sender"), WHOLE)
def test_what_the_specification_allows_is_taken(header: bytes, sender: Sender | None) -> None:
    assert taken(header + association_request()) == header
    assert read_sender(header) == sender


MALFORMED = [
    b"PROXY TCP4 10.1.2.3 10.1.0.9 56324 104\n\r\n",
    b"PROXY TCP4  10.1.2.3 10.1.0.9 56324 104\r\n",
    b"PROXY TCP4 10.1.2.3 10.1.0.9 56324 104 \r\n",
    b"PROXY TCP4 10.1.2.03 10.1.0.9 56324 104\r\n",
    b"PROXY TCP4 10.1.2.3 10.1.0.256 56324 104\r\n",
    b"PROXY TCP4 10.1.2.3 10.1.0.9 65536 104\r\n",
    b"PROXY TCP4 10.1.2.3 10.1.0.9 056 104\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 1 104\r\n",
    b"PROXY TCP6 10.1.2.3 10.1.0.9 1 104\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 1 104\r\n",
    b"PROXY TCP6 1::2::3 ::1 1 104\r\n",
    b"PROXY UDP4 10.1.2.3 10.1.0.9 1 104\r\n",
    b"PROXY unknown\r\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY \r\nPROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN ".ljust(106, b"f") + b"\r\n",
    b"proxy tcp4 10.1.2.3 10.1.0.9 1 104\r\n",
    BLOCK.pack(SIGNATURE, 0x11, 0x11, 12) + bytes(12),
    BLOCK.pack(SIGNATURE, 0x22, 0x11, 12) + bytes(12),
    BLOCK.pack(SIGNATURE, 0x21, 0x41, 12) + bytes(12),
    BLOCK.pack(SIGNATURE, 0x21, 0x13, 12) + bytes(12),
    BLOCK.pack(SIGNATURE, 0x21, 0x11, 11) + bytes(11),
    BLOCK.pack(SIGNATURE, 0x21, 0x21, 35) + bytes(35),
    BLOCK.pack(SIGNATURE, 0x21, 0x11, 4081) + bytes(4081),
    b"\r\n\r\n\0\r\nQUIT\r" + bytes(12),
    association_request(),
]


@pytest.mark.parametrize("stream", MALFORMED)
def test_what_the_specification_forbids_is_malformed(stream: bytes) -> None:
    with pytest.raises(MalformedHeader):
        read_sender(taken(stream + association_request()))


def test_what_came_instead_is_named() -> None:
    with pytest.raises(MalformedHeader, match="DICOM came instead"):
        missing(association_request()[:12])
