"""Listen for associations of senders, and of load balancers that speak for them.

The thread that accepts connections waits for nobody: the header of a balancer and the handshake of
TLS are left to the thread of the connection. Behind them everything goes by the sender's address.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.errors import AssociationBroken
from dicom_node.logs import log
from dicom_node.network.addresses.networks import Networks, source_of
from dicom_node.network.addresses.proxy_protocol import (
    MalformedHeader,
    Sender,
    missing,
    read_sender,
)
from dicom_node.network.pynetdicom_internals.pdu import Closed, Invalid, receive_into
from dicom_node.network.tls_failure import tls_failure

TurnedAway = Callable[[str, str], object]  #: records an address, and why it was turned away
ACCEPT_AGAIN_SECONDS = 0.1  #: wait after a connection could not be accepted
HEADER_SECONDS = 5.0  #: longest wait for a header (3 at least, section 2), and for a handshake
MAXIMUM_AWAITED = 100  #: connections of balancers whose header is awaited
SENT_NOTHING = "it connected, and hung up without sending anything"
CUT_OFF = "it hung up in the midst of its header of the PROXY protocol"
NO_HEADER = "it is one of [node] balancers, and sent no header of the PROXY protocol"


class OwnConnectionEnded(Exception):
    """A balancer ended a connection of its own, such as a health check, without a word."""


class ProxiedServer(ThreadedAssociationServer):
    """Listens for connections of senders, and of balancers, which name the sender in a header.

    Attributes
    ----------
    balancers
        Networks from which every connection begins with a header; from no other is one believed.
    turned_away
        Records a connection that ended without an association to trigger an event.
    handshake_at_once
        Whether the TLS handshake comes before there is an association.
    """

    balancers = Networks()
    turned_away: TurnedAway
    handshake_at_once = True

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  # as pynetdicom's
        self._awaited: set[socket.socket] = set()  # connections whose header is awaited
        self._awaited_lock = threading.Lock()
        super().__init__(*arguments, **options)

    def handle_error(self, request: object, client_address: tuple[str, int]) -> None:
        """Log what went wrong with one connection; socketserver would print it."""
        del request
        log.exception("association_broken", host=client_address[0], reason="see the traceback")
        self.turned_away(client_address[0], "a fault of this node: see its log")

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """As in pynetdicom, but TLS comes later."""
        try:
            return cast(socket.socket, self.socket).accept()
        except OSError as fault:
            self.turned_away("", f"connections cannot be accepted: {fault.strerror}")
            time.sleep(ACCEPT_AGAIN_SECONDS)  # no descriptors are left: it would spin
            raise

    def verify_request(self, request: object, client_address: object) -> bool:
        """Accept a connection, unless it is one of a balancer and too many headers are awaited."""
        host = str(cast(tuple[Any, ...], client_address)[0])
        if not self.balancers.include(host):
            return True
        with self._awaited_lock:
            has_room = len(self._awaited) < MAXIMUM_AWAITED
            if has_room:
                self._awaited.add(cast(socket.socket, request))
        if not has_room:
            self.turned_away(host, "too many headers of balancers are awaited")
        return has_room

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # as pynetdicom's
        """As in pynetdicom, for the sender whom a balancer names, and by TLS."""
        host, connection = str(client_address[0]), request
        try:
            sender = self._sender(connection, host) or client_address
            host = str(sender[0])
            connection = self._secured(connection)
        except OwnConnectionEnded:
            self.shutdown_request(connection)
        except AssociationBroken as fault:
            self.turned_away(host, str(fault))
            self.shutdown_request(connection)
        else:
            super().process_request_thread(connection, sender)

    def server_close(self) -> None:
        """As in pynetdicom; nobody waits for a header any more."""
        with self._awaited_lock:
            for connection in self._awaited:
                with suppress(OSError):  # it has just ended
                    connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def close_request(self, request: Any) -> None:  # noqa: ANN401  # as pynetdicom's
        """As in pynetdicom; whatever was awaited of the connection is not awaited any more."""
        self._forget(request)
        super().close_request(request)

    def _forget(self, connection: socket.socket) -> None:
        with self._awaited_lock:
            self._awaited.discard(connection)

    def _sender(self, connection: socket.socket, host: str) -> Sender | None:
        """Read for whom a balancer speaks; None if the address of the connection counts.

        In health checks balancers name nobody, or themselves.

        Raises
        ------
        AssociationBroken
            If a balancer sends no header.
        OwnConnectionEnded
            If a balancer says nothing more for itself.
        """
        if connection not in self._awaited:
            return None
        try:
            sender = read_sender(_header(connection))
            if sender is None or sender[0] == str(source_of(host)):
                _wait_for_more(connection)
        except (Invalid, MalformedHeader) as fault:
            raise Invalid(f"{NO_HEADER}: {fault}") from fault
        else:
            return sender
        finally:
            self._forget(connection)

    def _secured(self, connection: socket.socket) -> socket.socket:
        """Put TLS on a connection, if our port speaks it."""
        if self.ssl_context is None:
            connection.settimeout(None)
            return connection
        connection.settimeout(HEADER_SECONDS)
        try:
            secured = self.ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=self.handshake_at_once
            )
        except OSError as fault:
            raise Closed(tls_failure(fault)) from fault
        secured.settimeout(None)
        return secured


def _header(connection: socket.socket) -> bytes:
    """Read a header, and nothing behind it."""
    header, deadline = b"", time.monotonic() + HEADER_SECONDS
    while size := missing(header):
        piece = memoryview(bytearray(size))
        count = receive_into(connection, piece, deadline)
        if not count:
            raise Closed(CUT_OFF if header else SENT_NOTHING)
        header += piece[:count]
    return header


def _wait_for_more(connection: socket.socket) -> None:
    """Wait until a balancer says more for itself; who keeps silent is no longer waited for here."""
    connection.settimeout(HEADER_SECONDS)
    try:
        has_ended = not connection.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return
    except OSError:
        has_ended = True
    if has_ended:
        raise OwnConnectionEnded
