"""Socket of an association that reads ahead into a buffer."""

from __future__ import annotations

import select
import socket
import ssl
import time

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from dicom_node.network.pynetdicom_internals.pdu import PDU_HEADER, Closed, receive_into

READ_AHEAD = 1 << 18  #: bytes
TICK_SECONDS = 0.25  #: longest wait of a thread before it checks whether it should end
TICK_MS = TICK_SECONDS * 1000


class ReadAheadSocket(AssociationSocket):
    """An association's socket that reads ahead, and never waits for ever for a PDU."""

    def __init__(self, assoc: Association, client_socket: socket.socket, seconds: float) -> None:
        super().__init__(assoc, client_socket=client_socket)
        client_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client_socket.settimeout(seconds)
        self._seconds = seconds
        self._buffer = memoryview(bytearray(READ_AHEAD))
        self._start = self._end = 0
        self._poller: select.poll | None = None

    @property
    def ready(self) -> bool:
        """As in pynetdicom: whether there is something to read."""
        return self._buffered > 0 or bool(super().ready)

    @property
    def _buffered(self) -> int:
        return self._end - self._start

    def wait(self, wakeup: int) -> bool:
        """Wait until the peer sends something or `wakeup` is written to; at most a tick.

        Returns whether there is something to read, and nothing was written to `wakeup`, which is
        the descriptor of an eventfd.
        """
        if self.socket is None:
            return False
        if self._poller is None:
            self._poller = select.poll()
            self._poller.register(self.socket.fileno(), select.POLLIN)
            self._poller.register(wakeup, select.POLLIN)
        has_data = self._buffered or (
            isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()
        )
        ready = {descriptor for descriptor, _ in self._poller.poll(0 if has_data else TICK_MS)}
        return wakeup not in ready and bool(has_data or ready)

    @property
    def start(self) -> bytes:
        """First bytes that have arrived and are still to be read."""
        return bytes(self._buffer[self._start : min(self._end, self._start + PDU_HEADER.size)])

    def peek(self) -> tuple[int, int]:
        """Type and length of the next PDU, which is still to be read.

        Raises
        ------
        Invalid
            If its header does not arrive in time.
        Closed
            If the connection ends before.
        """
        self._fill(PDU_HEADER.size)
        kind, length = PDU_HEADER.unpack_from(self._buffer, self._start)
        return int(kind), int(length)

    def pdu(self, length: int) -> memoryview:
        """Read a PDU with `length` bytes behind its header; valid until the next read.

        Raises
        ------
        Invalid, Closed
            As `peek`.
        """
        size = PDU_HEADER.size + length
        if size > len(self._buffer):
            data = memoryview(self.recv(size))
            if len(data) < size:
                raise Closed("the connection was closed")
            return data[PDU_HEADER.size :]
        self._fill(size)
        start, self._start = self._start + PDU_HEADER.size, self._start + size
        return self._buffer[start : start + length]

    def recv(self, nr_bytes: int) -> bytearray:
        """As in pynetdicom: read `nr_bytes`, or fewer if the connection ends before."""
        data = bytearray(nr_bytes)
        view, deadline = memoryview(data), time.monotonic() + self._seconds
        done = min(self._buffered, nr_bytes)
        view[:done] = self._buffer[self._start : self._start + done]
        self._start += done
        while done < nr_bytes:
            count = self._receive_into(view[done:], deadline)
            if not count:
                return data[:done]
            done += count
        return data

    def _fill(self, size: int) -> None:
        """Read until the buffer has `size` bytes."""
        if self._buffered >= size:
            return
        if len(self._buffer) - self._start < size or not self._buffered:
            rest = bytes(self._buffer[self._start : self._end])
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        deadline = time.monotonic() + self._seconds
        while self._buffered < size:
            count = self._receive_into(self._buffer[self._end :], deadline)
            if not count:
                raise Closed("the connection was closed")
            self._end += count

    def _receive_into(self, view: memoryview, deadline: float) -> int:
        """Read the bytes that have arrived; return how many, 0 at the end."""
        if self.socket is None:
            return 0
        count = receive_into(self.socket, view, deadline)
        self.socket.settimeout(self._seconds)
        return count
