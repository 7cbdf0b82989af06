"""The socket of an association that is read ahead."""

from __future__ import annotations

import select
import socket
import ssl
import time

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from dicom_node.network.pynetdicom_internals.pdu import PDU_HEADER, Closed, receive_into

READ_AHEAD = 1 << 18  #: bytes
TICK_SECONDS = 0.25  #: longest wait of a thread before it looks whether it should end
TICK_MS = TICK_SECONDS * 1000


class ReadAheadSocket(AssociationSocket):
    """An association's socket that reads ahead, and never waits for a PDU for ever."""

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
        """As in pynetdicom: whether there is something to be read."""
        return self._held > 0 or bool(super().ready)

    @property
    def _held(self) -> int:
        return self._end - self._start

    def wait(self, bell: int) -> bool:
        """Wait until the peer sends something, or the bell rings; at most a tick.

        Returns whether there is something to be read, and the bell did not ring.
        """
        if self.socket is None:
            return False
        if self._poller is None:
            self._poller = select.poll()
            self._poller.register(self.socket.fileno(), select.POLLIN)
            self._poller.register(bell, select.POLLIN)
        at_once = self._held or (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending())
        found = {descriptor for descriptor, _ in self._poller.poll(0 if at_once else TICK_MS)}
        return bell not in found and bool(at_once or found)

    def peek(self) -> tuple[int, int]:
        """Type and length of the next PDU, which stays to be read.

        Raises
        ------
        Invalid
            If its header does not come in time.
        Closed
            If the connection ends before.
        """
        self._fill(PDU_HEADER.size)
        kind, length = PDU_HEADER.unpack_from(self._buffer, self._start)
        return int(kind), int(length)

    def pdu(self, length: int) -> memoryview:
        """Read a PDU of so many bytes behind its header; good until something else is read.

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
        """As in pynetdicom: read so many bytes, or fewer if the connection ends before."""
        data = bytearray(nr_bytes)
        view, deadline = memoryview(data), time.monotonic() + self._seconds
        done = min(self._held, nr_bytes)
        view[:done] = self._buffer[self._start : self._start + done]
        self._start += done
        while done < nr_bytes:
            count = self._into(view[done:], deadline)
            if not count:
                return data[:done]
            done += count
        return data

    def _fill(self, size: int) -> None:
        """Have so many bytes in the buffer."""
        if self._held >= size:
            return
        if len(self._buffer) - self._start < size or not self._held:
            rest = bytes(self._buffer[self._start : self._end])
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        deadline = time.monotonic() + self._seconds
        while self._held < size:
            count = self._into(self._buffer[self._end :], deadline)
            if not count:
                raise Closed("the connection was closed")
            self._end += count

    def _into(self, view: memoryview, deadline: float) -> int:
        """Read what there is; 0 at the end."""
        if self.socket is None:
            return 0
        count = receive_into(self.socket, view, deadline)
        self.socket.settimeout(self._seconds)
        return count
