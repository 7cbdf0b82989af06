"""Bounds of what a peer, and all peers together, may send: bytes, time, items, requests."""

from __future__ import annotations

import errno
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event

from dicom_node.network.pynetdicom_internals.association_request import FIXED_PART
from dicom_node.network.pynetdicom_internals.pdu import Invalid

MAXIMUM_DATA_SET = 1 << 20
"""Bytes of a data set of any message but C-STORE: references to eight thousand instances."""

MAXIMUM_NOTIFICATION = 4 << 20
"""Bytes of a data set that names what was made (N-CREATE, N-SET): about 30,000 instances."""

MAXIMUM_DATA_SETS = 16 << 20  #: bytes of such data sets that arrive at a time, from all peers
MAXIMUM_ANSWER = 4 << 20  #: bytes of one message of a peer that we called: a match, a report
MAXIMUM_UNANSWERED = 16  #: requests of an association; further ones stay in the socket
LEAST_RATE = 1000  #: bytes/s that a message must make on the whole, beside the network timeout
MAXIMUM_NEGOTIATION = 1 << 18  #: bytes of an A-ASSOCIATE-RQ; 128 contexts with 30 syntaxes each
MAXIMUM_ITEMS = 4096  #: items within an A-ASSOCIATE-RQ: 128 contexts with 30 syntaxes each
ITEM = struct.Struct(">BxH")  #: type and length of an item, PS3.8 9.3.2.1 to 9.3.2.3
CONTEXT, USER_INFORMATION = 0x20, 0x50  #: items that hold items
HELD_BEFORE = {CONTEXT: 4, USER_INFORMATION: 0}  #: bytes before the items that they hold


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationLimits:
    """Limits that a site sets.

    Attributes
    ----------
    associations, of_one_address
        Open at the same time.
    pdu_bytes
        Longest PDU.
    object_bytes
        Longest data set of a C-STORE request.
    silent_seconds
        Longest silence of an association.
    request_seconds
        Longest wait for an association request on an open connection; no setting.
    """

    associations: int = 100
    of_one_address: int = 50
    pdu_bytes: int = 131072
    object_bytes: int = 1 << 32
    silent_seconds: float = 60.0
    request_seconds: float = 15.0


class Pace:
    """The time that a message may take.

    Parameters
    ----------
    seconds
        Before its bytes are counted.
    """

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def check(self, size: int) -> None:
        """Check that a message of which so many bytes have come is not too slow.

        Raises
        ------
        Invalid
            If it is.
        """
        if time.monotonic() > self._deadline + size / LEAST_RATE:
            raise Invalid("the peer is too slow")


class Allowance:
    """Bytes that all associations together may take."""

    def __init__(self, size: int = MAXIMUM_DATA_SETS) -> None:
        self._left, self._lock = size, threading.Lock()

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Give a share for one message; it is given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.take(-share.size)

    def take(self, size: int) -> None:
        """Take bytes, or give them back.

        Raises
        ------
        Invalid
            If there are not so many left.
        """
        with self._lock:
            if size > self._left:
                raise Invalid("other peers send too much at the moment")
            self._left -= size


class Share:
    """What one message has taken of an allowance, bytes."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance, self.size = allowance, 0

    def take(self, size: int) -> None:
        """Take more, as :meth:`Allowance.take`."""
        self._allowance.take(size)
        self.size += size


class MessageBound:
    """Hangs up on peers whose message is too long, where pynetdicom itself reads it into memory.

    Parameters
    ----------
    most
        Bytes of one message as it comes over the wire.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._sizes: WeakKeyDictionary[Association, int] = WeakKeyDictionary()

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """To be bound to an association, or to a server."""
        return [
            (evt.EVT_CONN_OPEN, self._bound_pdus),
            (evt.EVT_DATA_RECV, self._count),
            (evt.EVT_DIMSE_RECV, self._forget),
        ]

    def _bound_pdus(self, event: Event) -> None:
        """Have no PDU read that claims to be longer: it would be in memory before it is counted."""
        assoc, wire = event.assoc, event.assoc.dul.socket
        if wire is None:
            return
        read = wire.recv

        def read_bounded(nr_bytes: int) -> bytearray:
            if nr_bytes > self._most:
                hang_up(assoc)
                raise OSError(errno.EMSGSIZE, "a PDU longer than any answer")
            return read(nr_bytes)

        wire.recv = read_bounded  # type: ignore[method-assign]  # of this connection alone

    def _count(self, event: Event) -> None:
        size = self._sizes.get(event.assoc, 0) + len(event.data)
        self._sizes[event.assoc] = size
        if size > self._most:
            hang_up(event.assoc)

    def _forget(self, event: Event) -> None:
        self._sizes.pop(event.assoc, None)


def check_negotiation(pdu: bytes) -> None:
    """Check that an A-ASSOCIATE-RQ has a reasonable number of items.

    Raises
    ------
    Invalid
        If it has more.
    """
    items = sum(1 for _ in _items(memoryview(pdu)[FIXED_PART:]))
    if items > MAXIMUM_ITEMS:
        raise Invalid(f"at most {MAXIMUM_ITEMS} items of an association request expected")


def _items(rest: memoryview) -> Iterator[int]:
    """Types of all items; what is cut short is left to the parser."""
    while len(rest) >= ITEM.size:
        kind, length = ITEM.unpack_from(rest)
        yield kind
        if kind in HELD_BEFORE:
            yield from _items(rest[ITEM.size + HELD_BEFORE[kind] : ITEM.size + length])
        rest = rest[ITEM.size + length :]


def first_to_go(silent: Sequence[Association]) -> Association:
    """Choose, of associations without a request, the oldest of the address that has the most.

    Parameters
    ----------
    silent
        The oldest first.
    """
    by_address = Counter(assoc.requestor.address for assoc in silent)
    busiest, _ = by_address.most_common(1)[0]
    return next(assoc for assoc in silent if assoc.requestor.address == busiest)


def hang_up(assoc: Association) -> None:
    """Have an association end as if its peer had hung up; its own threads close the socket."""
    wire = assoc.dul.socket
    connection = wire.socket if wire is not None else None
    if connection is not None:
        with suppress(OSError):  # it has just ended
            # a TLS socket's own method would take the layer away under the thread that reads
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
