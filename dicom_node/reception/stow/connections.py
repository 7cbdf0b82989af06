"""Keep the number of open connections bounded, from the moment they are accepted.

Connections on which no request runs make room for new ones: nobody can keep others out by holding
idle ones, before the TLS handshake, before a request or after it.
"""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

MAXIMUM_CONNECTIONS = 200  #: open at a time, with or without a request
Address = tuple[Any, ...]  #: host, port, and what else an address family has


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    host: str
    is_busy: bool = False


class OpenConnections:
    """Connections that are open; used by the thread that accepts them alone.

    Parameters
    ----------
    maximum
        Open at a time.
    """

    def __init__(self, maximum: int = MAXIMUM_CONNECTIONS) -> None:
        self._maximum = maximum
        self._open: dict[Address, _Connection] = {}  # the oldest first

    def admit(self, connection: socket.socket, peer: Address) -> bool:
        """Enter a new connection; False if requests run on as many as there may be."""
        self._open = {key: one for key, one in self._open.items() if one.socket.fileno() >= 0}
        if len(self._open) >= self._maximum and not self._make_room():
            return False
        self._open[peer] = _Connection(connection, str(peer[0]))
        return True

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
        with suppress(OSError):  # it has just ended
            one.socket.shutdown(socket.SHUT_RDWR)  # its transport sees the end, and closes it
        del self._open[peer]
        return True


class BoundedListener(socket.socket):
    """Listening socket that accepts no more connections than may be open."""

    connections: OpenConnections

    @classmethod
    def of(cls, listening: socket.socket) -> BoundedListener:
        """Make one of a socket that listens already, which stays as it is."""
        made = cls(listening.family, listening.type, fileno=listening.dup().detach())
        made.connections = OpenConnections()
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
        return connection, peer
