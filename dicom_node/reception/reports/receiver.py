"""Listen for reports by MLLP: few connections, from known addresses, a thread for each."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from dicom_node.network.addresses.networks import Networks
from dicom_node.network.hl7.mllp import FrameReader, framed
from dicom_node.network.tls_failure import tls_cause
from dicom_node.reception.refusals import Refusal

MOST_CONNECTIONS = 16  #: at a time; an interface engine has one, or one of each department
MOST_BYTES = 1 << 22  #: of a message
MESSAGE_SECONDS = 30.0  #: for a whole message to come, from its first byte; and for a handshake
IDLE_SECONDS = 3600.0  #: without a message; engines keep connections
SEND_SECONDS = 10.0  #: for an acknowledgement to leave
AGAIN_SECONDS = 1.0  #: until a connection is admitted again, where there were no descriptors left
KEEPALIVE = (
    ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 60),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 15),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPCNT), 4),
)
"""A peer that is silently gone frees its place after two minutes; seconds, and probes."""
WHAT = "HL7 connection"

Answer = Callable[[bytes, str], bytes]
"""Gives the acknowledgement of a message from an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited for a peer, seconds."""

    message: float = MESSAGE_SECONDS
    idle: float = IDLE_SECONDS


class ReportReceiver:
    """Listens until it is stopped.

    Parameters
    ----------
    senders
        Networks that may send; empty for everybody, as on a loopback address.
    answer
        What is done with a message.
    refuse
        Records who was turned away.
    """

    def __init__(
        self,
        senders: Iterable[str],
        answer: Answer,
        refuse: Callable[[Refusal], None],
        *,
        patience: Patience | None = None,
    ) -> None:
        self._senders = Networks.of(senders)
        self._answer, self._refuse = answer, refuse
        self._patience = patience or Patience()
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._stopping = threading.Event()

    def listen(
        self, address: tuple[str, int], *, tls: ssl.SSLContext | None = None
    ) -> tuple[str, int]:
        """Start to listen; return the address bound (port 0 asks for a free one).

        Raises
        ------
        OSError
            If the address cannot be listened on.
        """
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._listening = socket.create_server(address, family=family)
        self._tls = tls
        self.restart()
        host, port = self._listening.getsockname()[:2]
        return str(host), int(port)

    def is_alive(self) -> bool:
        """Say whether the thread that admits connections runs."""
        return self._thread.is_alive()

    def restart(self) -> None:
        """Start a thread that admits connections."""
        self._thread = threading.Thread(target=self._admit_all, name="reports", daemon=True)
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Take no further message; wait until those that are here are answered.

        Parameters
        ----------
        deadline
            Monotonic, seconds.
        """
        self._stopping.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            waiting = dict(self._open)
        for connection in waiting.values():
            with suppress(OSError):
                # of the socket itself: that of TLS would answer without TLS from now on
                socket.socket.shutdown(connection, socket.SHUT_RD)
        for thread in (self._thread, *waiting):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _admit_all(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, peer = self._listening.accept()
            except OSError:
                if self._stopping.is_set() or self._listening.fileno() < 0:
                    return
                self._stopping.wait(AGAIN_SECONDS)
                continue
            self._admit(connection, str(peer[0]))

    def _admit(self, connection: socket.socket, address: str) -> None:
        """Begin to serve a connection, or end it."""
        if reason := self._why_not(address):
            self._refuse(
                Refusal(kind="association_rejected", what=WHAT, reason=reason, address=address)
            )
            connection.close()
            return
        for option, value in KEEPALIVE:
            connection.setsockopt(*option, value)
        thread = threading.Thread(
            target=self._serve, args=(connection, address), name="report sender", daemon=True
        )
        with self._lock:
            self._open[thread] = connection
        thread.start()

    def _why_not(self, address: str) -> str:
        if self._senders.networks and not self._senders.include(address):
            return "its address is none of [reports] senders"
        with self._lock:
            is_full = len(self._open) >= MOST_CONNECTIONS
        return f"{MOST_CONNECTIONS} connections are open" if is_full else ""

    def _serve(self, plain: socket.socket, address: str) -> None:
        """Answer what comes on a connection; record why it broke, and end it."""
        own = threading.current_thread()
        try:
            if reason := self._why_broken(own, address):
                self._refuse(
                    Refusal(kind="association_broken", what=WHAT, reason=reason, address=address)
                )
        finally:
            with self._lock:
                connection = self._open.pop(own)
            connection.close()
            plain.close()

    def _why_broken(self, own: threading.Thread, address: str) -> str:
        """Answer message after message; say why that ended, empty for as it should."""
        try:
            self._answer_all(self._secured(own), address)
        except TimeoutError:
            return "a message did not come, or its answer did not leave, in time"
        except ValueError as wrong:  # too long, or cut off
            return "" if self._stopping.is_set() else str(wrong)
        except OSError as wrong:
            return tls_cause(wrong) or wrong.strerror or type(wrong).__name__
        return ""

    def _secured(self, own: threading.Thread) -> socket.socket:
        """Shake hands, where the port speaks TLS."""
        with self._lock:
            connection = self._open[own]
        if self._tls is None:
            return connection
        connection.settimeout(self._patience.message)
        with self._lock:
            secured = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
            self._open[own] = secured
        secured.do_handshake()
        return secured

    def _answer_all(self, connection: socket.socket, address: str) -> None:
        """Answer message after message, until the peer has ended, or says nothing any more."""
        reader = FrameReader(connection, MOST_BYTES)
        while not self._stopping.is_set() and self._has_come(connection, reader):
            message = reader.read(self._patience.message)
            if message is None:
                return
            answer = self._answer(message, address)
            connection.settimeout(SEND_SECONDS)
            connection.sendall(framed(answer))

    def _has_come(self, connection: socket.socket, reader: FrameReader) -> bool:
        """Wait for the first bytes of a message; False if none come for long."""
        if reader.has_more or (isinstance(connection, ssl.SSLSocket) and connection.pending()):
            return True
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(self._patience.idle * 1000))
