"""Send audit events to a syslog server, from a queue, so that no caller waits for the server.

RFC 5424 messages by UDP (RFC 5426), TCP (RFC 6587, octet counting) or TLS (RFC 5425). Events that
find no room in the queue are counted, and the count is logged.
"""

from __future__ import annotations

import contextlib
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
FLUSH_SECONDS = 1.0  #: longest wait for queued messages when the node stops
PRIORITY = 10 * 8 + 5  #: facility security, severity notice: PS3.15 A.6
MESSAGE_ID = "DICOM+RFC3881"  #: PS3.15 A.6


class AuditSink(Protocol):
    """Takes audit events."""

    def record(self, event: AuditEvent) -> None:
        """Take an event; never waits, never raises."""
        ...

    def close(self) -> None:
        """Send queued events, for a short while, then end."""
        ...

    def is_alive(self) -> bool:
        """Say whether the thread that sends, if there is to be one, runs."""
        ...

    def restart(self) -> None:
        """Start a thread in place of one that has ended."""
        ...


class NullAudit:
    """Discards audit events, where the settings have no audit server."""

    def record(self, event: AuditEvent) -> None:
        """Discard an event."""

    def close(self) -> None:
        """Do nothing."""

    def is_alive(self) -> bool:
        """Nothing is to run, so nothing has ended."""
        return True

    def restart(self) -> None:
        """Do nothing."""


NO_AUDIT = NullAudit()


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A syslog server; with `tls` by TLS, else by the protocol named."""

    host: str
    port: int
    protocol: Literal["udp", "tcp", "tls"]
    tls: ssl.SSLContext | None = None

    def connect(self) -> socket.socket:
        """Open a connection; by UDP, a socket with the server's address.

        Raises
        ------
        OSError
            If the server cannot be reached, or its certificate is not valid.
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
        """Put the length before a message, where the protocol does not say where it ends."""
        return message if self.protocol == "udp" else b"%d %b" % (len(message), message)


class SyslogAudit:
    """Audit sink with a queue, and a thread that sends from it.

    Parameters
    ----------
    source
        The reporting application: our AE title.
    room
        Most messages in the queue.

    Attributes
    ----------
    dropped
        Messages that found no room since the queue was last empty.
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
        self._unsent: bytes | None = None  #: taken from the queue, and not sent yet
        self.restart()

    def is_alive(self) -> bool:
        """Say whether the sending thread runs."""
        return self._thread.is_alive()

    def restart(self) -> None:
        """Start a sending thread; it begins with the message that the one before was sending."""
        self._thread = threading.Thread(target=self._follow, name="audit", daemon=True)
        self._thread.start()

    def record(self, event: AuditEvent) -> None:
        """Take an event; count it if the queue is full, or if it cannot be put into words."""
        at = datetime.now(UTC)
        try:
            self._waiting.put_nowait(syslog(to_xml(event, at, self._source), at))
        except Exception as fault:  # noqa: BLE001  # an observer must not stop the work
            self.dropped += 1
            if self.dropped == 1:
                reason = type(fault).__name__
                log.error("audit_dropped", waiting=self._waiting.qsize(), reason=reason)

    def close(self) -> None:
        """Send queued events, for a short while, then end; log how many were not sent."""
        self._ending.set()
        with contextlib.suppress(queue.Full):  # then it is not being sent at all
            self._waiting.put_nowait(None)
        self._thread.join(FLUSH_SECONDS)
        waiting = sum(message is not None for message in tuple(self._waiting.queue))
        lost = self.dropped + waiting + (self._unsent is not None)
        if lost:
            log.error("audit_dropped", messages=lost)

    def _follow(self) -> None:
        connection: socket.socket | None = None
        while (message := self._unsent or self._waiting.get()) is not None:
            self._unsent = message
            connection = self._deliver(message, connection)
            if connection is None:
                return
            self._unsent = None
            if self.dropped and self._waiting.empty():
                log.error("audit_dropped", messages=self.dropped)
                self.dropped = 0
        if connection is not None:
            connection.close()

    def _deliver(self, message: bytes, connection: socket.socket | None) -> socket.socket | None:
        """Send one message, however many tries it takes; None if the node stops before."""
        logged = False
        while True:
            try:
                connection = connection or self._server.connect()
                connection.sendall(self._server.framed(message))
            except OSError as fault:
                if connection is not None:
                    connection.close()
                connection = None
                if not logged:
                    log.error("audit_delayed", reason=_why(fault))
                logged = True
                if self._ending.wait(self._retry_seconds):
                    return None
            else:
                return connection


def _why(fault: OSError) -> str:
    """Say why a server could not be told; of a certificate that was refused, why it was."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {fault.verify_message}"
    if isinstance(fault, ssl.SSLError):
        return f"TLS failed: {fault.reason or type(fault).__name__}"
    return fault.strerror or type(fault).__name__


def syslog(message: bytes, at: datetime) -> bytes:
    """Put a message into an RFC 5424 envelope; the text begins with a byte order mark."""
    when = at.isoformat(timespec="milliseconds")
    head = f"<{PRIORITY}>1 {when} {socket.gethostname()} dicom-node {os.getpid()} {MESSAGE_ID} - "
    return head.encode("ascii", "replace") + b"\xef\xbb\xbf" + message
