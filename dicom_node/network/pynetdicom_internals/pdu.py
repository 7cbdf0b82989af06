"""Encode and parse P-DATA-TF PDUs (PS3.8 9.3.5, Annex E), for the fast Storage SCP and SCU."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from dataclasses import dataclass

from dicom_node.errors import AssociationBroken
from dicom_node.network.tls_failure import tls_failure

P_DATA_TF = 4  #: PDU type
DATA_SET, COMMAND, LAST = 0, 1, 2  #: bits of the message control header, PS3.8 E.2
PDU_HEADER = struct.Struct(">BxL")
PDV_HEADER = struct.Struct(">LBB")
SHORTEST = PDV_HEADER.size + 2  #: bytes of a PDU that has room for data; a value is even, PS3.8 E.1
HEADERS = struct.Struct(">BxLLBB")  #: of a PDU and of its only presentation data value
MAXIMUM_COMMAND = 1 << 16  #: bytes of a command set; real ones have 150


class Invalid(AssociationBroken):
    """The peer sent something that is no message, or sent too slowly."""


class Closed(AssociationBroken):
    """The connection ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """One presentation data value (PS3.8 9.3.5.1)."""

    context_id: int
    control: int
    data: memoryview


def headers(context_id: int, control: int, size: int) -> bytes:
    """Headers of a PDU with one presentation data value of `size` bytes of data."""
    pdv = size + PDV_HEADER.size - 4
    return HEADERS.pack(P_DATA_TF, pdv + 4, pdv, context_id, control)


def first_fragment(pdu: memoryview) -> tuple[Fragment, memoryview]:
    """Split the first presentation data value off the rest of a PDU.

    Raises
    ------
    Invalid
        If the value is incomplete.
    """
    if len(pdu) < PDV_HEADER.size:
        raise Invalid("a presentation data value without its header")
    size, context_id, control = PDV_HEADER.unpack_from(pdu)
    if not PDV_HEADER.size - 4 <= size <= len(pdu) - 4:
        raise Invalid("a presentation data value that exceeds its PDU")
    data = pdu[PDV_HEADER.size : 4 + size]
    return Fragment(context_id=context_id, control=control, data=data), pdu[4 + size :]


def receive_into(connection: socket.socket, view: memoryview, deadline: float) -> int:
    """Read the bytes that have arrived, and acknowledge them at once.

    Returns the number of bytes, 0 at the end of the connection.

    Parameters
    ----------
    deadline
        On the monotonic clock, seconds; the socket keeps what is left of it as its timeout.

    Raises
    ------
    Invalid
        If nothing arrives in time.
    Closed
        If the connection is lost.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise Invalid("the peer is too slow")
    try:
        connection.settimeout(left)
        count = connection.recv_into(view)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    except TimeoutError as late:
        raise Invalid("the peer is too slow") from late
    except ssl.SSLError as fault:
        raise Closed(tls_failure(fault)) from fault
    except OSError as fault:
        raise Closed(f"the connection was lost: {type(fault).__name__}") from fault
    return count
