"""Keep the number of open connections bounded, from the moment they are accepted.

Connections on which no request runs make room for new ones: nobody can keep others out by holding
idle ones, before the TLS handshake, before a request or after it.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from dicom_node.network.tls_failure import ON_TLS_FAILURE

TurnedAway = Callable[[str, str], object]  #: records an address, and why it was turned away
TOO_MANY = "as many requests run as may"
NO_HANDSHAKE = "it hung up, or kept silent, before the end of the TLS handshake"
MADE_ROOM = "it sent no request, and others needed its place"
MAXIMUM_CONNECTIONS = 200  #: open at a time, with or without a request
Address = tuple[Any, ...]  #: host, port, and what else an address family has


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    host: str
    is_busy: bool = False
    is_explained: bool = False  #: it has a protocol, or it is recorded why it came to none


class OpenConnections:
    """Connections that are open; used by the thread that accepts them alone.

    Parameters
    ----------
    turned_away
        Records the address of a connection that came to nothing, and why.
    maximum
        Open at a time.
    """

    def __init__(self, turned_away: TurnedAway, maximum: int = MAXIMUM_CONNECTIONS) -> None:
        self.turned_away, self._maximum = turned_away, maximum
        self._open: dict[Address, _Connection] = {}  # the oldest first

    def admit(self, connection: socket.socket, peer: Address) -> bool:
        """Enter a new connection; False if requests run on as many as there may be."""
        self._forget_closed()
        if len(self._open) >= self._maximum and not self._make_room():
            self.turned_away(str(peer[0]), TOO_MANY)
            return False
        self._open[peer] = _Connection(connection, str(peer[0]))
        return True

    def explain(self, peer: Address, reason: str = "") -> None:
        """Note that a connection has its protocol, or why it comes to none."""
        if (known := self._open.get(peer)) is not None:
            known.is_explained = True
        if reason:
            self.turned_away(str(peer[0]), reason)

    def _forget_closed(self) -> None:
        """Forget connections that were closed; record those that ended before their protocol."""
        for peer, one in list(self._open.items()):
            if one.socket.fileno() < 0:
                if not one.is_explained:
                    self.turned_away(one.host, NO_HANDSHAKE)
                del self._open[peer]

    def set_busy(self, peer: Address, *, is_busy: bool) -> None:
        """Note whether a request runs on a connection; one that was idle again is the newest."""
        known = self._open.get(peer)
        if known is not None and known.is_busy is not is_busy:
            known.is_busy = is_busy
            self._open[peer] = self._open.pop(peer)

    def _make_room(self) -> bool:
        """Hang up the longest idle connection of the address that has the most idle ones."""
        idle = [(peer, one) for peer, one in self._open.items() if not one.is_busy]
        if not idle:
            return False
        busiest, _ = Counter(one.host for _, one in idle).most_common(1)[0]
        peer, one = next((peer, one) for peer, one in idle if one.host == busiest)
        if not one.is_explained:
            self.turned_away(one.host, MADE_ROOM)
        with suppress(OSError):  # it has just ended
            one.socket.shutdown(socket.SHUT_RDWR)  # its transport sees the end, and closes it
        del self._open[peer]
        return True


class BoundedListener(socket.socket):
    """Listening socket that accepts no more connections than may be open."""

    connections: OpenConnections

    @classmethod
    def of(cls, listening: socket.socket, turned_away: TurnedAway) -> BoundedListener:
        """Make one of a socket that listens already, which stays as it is."""
        made = cls(listening.family, listening.type, fileno=listening.dup().detach())
        made.connections = OpenConnections(turned_away)
        return made

    def accept(self) -> tuple[socket.socket, Address]:
        """As in `socket`.

        Raises
        ------
        ConnectionAbortedError
            If it could not be admitted, which event loops take for a peer that hung up.
        """
        connection, peer = super().accept()
        if not self.connections.admit(connection, peer):
            connection.close()
            raise ConnectionAbortedError("too many requests run")
        # the event loop handles each connection in a copy of the context of now
        ON_TLS_FAILURE.set(partial(self.connections.explain, peer))
        return connection, peer
