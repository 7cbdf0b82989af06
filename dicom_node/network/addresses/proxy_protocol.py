"""Read the header by which a load balancer names the sender of a connection: the PROXY protocol.

Both versions of https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt; sections named here
are its own. No byte behind a header is asked for, and none is understood before it is whole.
"""

from __future__ import annotations

import ipaddress
import re
import struct

from dicom_node.errors import AssociationBroken
from dicom_node.network.addresses.networks import source_of
from dicom_node.network.foreign_protocols import protocol_of

LINE_START, LINE_END = b"PROXY ", b"\r\n"  #: of version 1, section 2.1
LONGEST_LINE = 107  #: bytes of version 1, its end included, section 2.1
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  #: of version 2, section 2.2; shorter than any line
BLOCK = struct.Struct(">12sBBH")  #: signature, version and command, family, bytes that follow
LONGEST_REST = 4096 - BLOCK.size  #: bytes that may follow; nginx takes as many
LOCAL, PROXIED = 0x20, 0x21  #: version 2, and its command
TCP4, TCP6 = 0x11, 0x21  #: family and protocol
ENDPOINTS = {TCP4: struct.Struct(">4s4sHH"), TCP6: struct.Struct(">16s16sHH")}
WITHOUT_ADDRESS = {0x00, 0x12, 0x22, 0x31, 0x32}
"""Families and protocols in which no TCP address is named: unspecified, UDP, sockets of files."""

OWN_CONNECTION = BLOCK.pack(SIGNATURE, LOCAL, 0, 0)
"""What a balancer sends before what it says for itself."""

LINE = re.compile(
    rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+)"
    rb" (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n"
)
UNKNOWN_LINE = re.compile(rb"PROXY UNKNOWN( .*)?\r\n", re.DOTALL)
MAXIMUM_PORT = 65535

Sender = tuple[str, int]  #: address and port


class MalformedHeader(AssociationBroken):
    """A connection begins otherwise than the PROXY protocol demands."""


def missing(start: bytes) -> int:
    """Say how many further bytes a header that begins so has at least; 0 if it is whole.

    Raises
    ------
    MalformedHeader
        If no header begins so, or only one that is too long.
    """
    size = len(start)
    if start.startswith(SIGNATURE):
        return _missing_of_block(start)
    if size < len(SIGNATURE) and SIGNATURE.startswith(start):
        return len(SIGNATURE) - size
    if not LINE_START.startswith(start[: len(LINE_START)]):
        came = protocol_of(start) or "something else"
        raise MalformedHeader(f"{came} came instead")
    if size < len(SIGNATURE):
        return len(SIGNATURE) - size
    if start.endswith(LINE_END):
        return 0
    if size >= LONGEST_LINE:
        raise MalformedHeader(f"expected the end of its line within {LONGEST_LINE} bytes")
    return 1 if start.endswith(LINE_END[:1]) else min(len(LINE_END), LONGEST_LINE - size)


def _missing_of_block(start: bytes) -> int:
    if len(start) < BLOCK.size:
        return BLOCK.size - len(start)
    rest = BLOCK.unpack_from(start)[3]
    if rest > LONGEST_REST:
        raise MalformedHeader(f"expected a header of at most {BLOCK.size + LONGEST_REST} bytes")
    return BLOCK.size + int(rest) - len(start)


def read_sender(header: bytes) -> Sender | None:
    """Read from a whole header for whom the balancer speaks.

    Returns
    -------
    Sender or None
        None if it speaks for itself, or names no address: then that of the connection counts.

    Raises
    ------
    MalformedHeader
        If the header is not as the protocol demands.
    """
    if header.startswith(SIGNATURE):
        return _sender_of_block(header)
    if UNKNOWN_LINE.fullmatch(header):
        return None
    return _sender_of_line(header)


def _sender_of_line(line: bytes) -> Sender:
    found = LINE.fullmatch(line)
    if found is None:
        raise MalformedHeader("expected 'PROXY TCP4', 'TCP6' or 'UNKNOWN', addresses and ports")
    family, *addresses = (part.decode("ascii") for part in found.groups()[:3])
    ports = [int(port) for port in found.groups()[3:]]
    read = ipaddress.IPv4Address if family == "TCP4" else ipaddress.IPv6Address
    try:
        source, _ = (read(address) for address in addresses)
    except ValueError as fault:
        raise MalformedHeader(f"expected two addresses of {family}") from fault
    if max(ports) > MAXIMUM_PORT:
        raise MalformedHeader(f"expected ports of at most {MAXIMUM_PORT}")
    return str(source_of(str(source))), ports[0]


def _sender_of_block(block: bytes) -> Sender | None:
    _, command, family, length = BLOCK.unpack_from(block)
    if command not in {LOCAL, PROXIED}:
        raise MalformedHeader("expected version 2, and LOCAL or PROXY as its command")
    if command == LOCAL or family in WITHOUT_ADDRESS:
        return None
    if family not in ENDPOINTS:
        raise MalformedHeader("expected a family of addresses and a protocol that are known")
    endpoints = ENDPOINTS[family]
    if length < endpoints.size:
        raise MalformedHeader(f"expected {endpoints.size} bytes of addresses and ports")
    source, _, port, _ = endpoints.unpack_from(block, BLOCK.size)
    return str(source_of(str(ipaddress.ip_address(source)))), int(port)
