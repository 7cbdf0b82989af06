"""Hang up on a web service whose answer does not come to its end, however slowly it comes.

A time-out of httpx begins anew with every byte that is read; the head of an answer may therefore
take for ever. This watch counts from the end of the request.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

CONNECTED = ("connection.connect_tcp.complete", "connection.start_tls.complete")
SENT = ("http11.send_request_body.complete",)


class AnswerWatch:
    """Watches the exchanges of one client, one after the other: its ``trace`` extension.

    Parameters
    ----------
    seconds
        Longest time from the end of a request to the end of its answer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._stream: Any = None
        self._timer: threading.Timer | None = None
        self.hung_up = False

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of what httpcore does."""
        if event in CONNECTED:
            self._stream = info["return_value"]
        elif event in SENT:
            self.stop()
            self._timer = threading.Timer(self._seconds, self._hang_up)
            self._timer.daemon = True
            self._timer.start()

    def stop(self) -> None:
        """Watch no more: the answer is there, or given up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hang_up(self) -> None:
        """End the connection as if the service had; whoever reads from it is told so."""
        self.hung_up = True
        connection = self._stream.get_extra_info("socket") if self._stream is not None else None
        if isinstance(connection, socket.socket):
            with suppress(OSError):  # it has just ended
                # a TLS socket's own method would take the layer away under the thread that reads
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
