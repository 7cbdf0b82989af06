"""The audit trail: events on their way to a syslog server, which nothing here waits for.

RFC 5424 messages by UDP (RFC 5426), TCP (RFC 6587, octet counting) or TLS (RFC 5425). What finds
no room in the queue is counted, and the count is logged.
"""

from __future__ import annotations

import os
import queue
import socket
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from dicom_node.audit.messages import AuditEvent, to_xml
from dicom_node.logs import log

ROOM = 10_000  #: messages that may wait for a server
RETRY_SECONDS = 5.0  #: wait after the server could not be reached
CONNECT_SECONDS = 10.0
FAREWELL_SECONDS = 3.0  #: how long the end of the node waits for what is left
PRIORITY = 10 * 8 + 5  #: facility security, severity notice: PS3.15 A.6
MESSAGE_ID = "DICOM+RFC3881"  #: PS3.15 A.6


class AuditSink(Protocol):
    """Takes events for an auditor."""

    def record(self, event: AuditEvent) -> None:
        """Take an event; never waits."""
        ...

    def close(self) -> None:
        """Send what is left, for a short while, then end."""
        ...


class NullAudit:
    """Where no audit is wanted."""

    def record(self, event: AuditEvent) -> None:
        """Forget it."""

    def close(self) -> None:
        """Do nothing."""


NO_AUDIT = NullAudit()


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A syslog server; `tls` for TLS, else as `protocol` says."""

    host: str
    port: int
    protocol: Literal["udp", "tcp", "tls"]
    tls: ssl.SSLContext | None = None

    def connect(self) -> socket.socket:
        """Open a connection, or what stands for one.

        Raises
        ------
        OSError
            If the server cannot be reached, or is not the one it should be.
        """
        if self.protocol == "udp":
            family, kind, _, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_DGRAM
            )[0]
            plain = socket.socket(family, kind)
            plain.connect(address)
            return plain
        plain = socket.create_connection((self.host, self.port), CONNECT_SECONDS)
        if self.tls is None:
            return plain
        return self.tls.wrap_socket(plain, server_hostname=self.host)

    def framed(self, message: bytes) -> bytes:
        """Say where a message ends, where the protocol does not."""
        return message if self.protocol == "udp" else b"%d %b" % (len(message), message)


class SyslogAudit:
    """A queue, and a thread that empties it.

    Parameters
    ----------
    source
        Who reports: our AE title.
    room
        Messages that may wait.

    Attributes
    ----------
    dropped
        Messages that found no room since the server was last there.
    """

    def __init__(
        self,
        server: Server,
        *,
        source: str,
        room: int = ROOM,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._server, self._source = server, source
        self._retry_seconds = retry_seconds
        self._waiting: queue.Queue[bytes | None] = queue.Queue(room)
        self._ending = threading.Event()
        self.dropped = 0
        self._thread = threading.Thread(target=self._follow, name="audit", daemon=True)
        self._thread.start()

    def record(self, event: AuditEvent) -> None:
        """Take an event; count it where there is no room."""
        at = datetime.now(UTC)
        try:
            self._waiting.put_nowait(syslog(to_xml(event, at, self._source), at))
        except queue.Full:
            self.dropped += 1
            if self.dropped == 1:
                log.error("audit_dropped", waiting=self._waiting.qsize())

    def close(self) -> None:
        """Send what is left, for a short while, then end; say what was not sent."""
        self._ending.set()
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            self.dropped += 1
        self._thread.join(FAREWELL_SECONDS)
        lost = self.dropped + self._waiting.qsize()
        if lost:
            log.error("audit_dropped", messages=lost)

    def _follow(self) -> None:
        connection: socket.socket | None = None
        while (message := self._waiting.get()) is not None:
            connection = self._deliver(message, connection)
            if connection is None:
                return
            if self.dropped and self._waiting.empty():
                log.error("audit_dropped", messages=self.dropped)
                self.dropped = 0
        if connection is not None:
            connection.close()

    def _deliver(self, message: bytes, connection: socket.socket | None) -> socket.socket | None:
        """Send one message, however often it takes; None if the node ends before."""
        told = False
        while True:
            try:
                connection = connection or self._server.connect()
                connection.sendall(self._server.framed(message))
            except OSError as fault:
                if connection is not None:
                    connection.close()
                connection = None
                if not told:
                    log.error("audit_delayed", reason=type(fault).__name__)
                told = True
                if self._ending.wait(self._retry_seconds):
                    return None
            else:
                return connection


def syslog(message: bytes, at: datetime) -> bytes:
    """Put a message into its envelope (RFC 5424 6); it begins with a byte order mark."""
    when = at.isoformat(timespec="milliseconds")
    head = f"<{PRIORITY}>1 {when} {socket.gethostname()} dicom-node {os.getpid()} {MESSAGE_ID} - "
    return head.encode("ascii", "replace") + b"\xef\xbb\xbf" + message
