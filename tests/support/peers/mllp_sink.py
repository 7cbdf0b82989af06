"""An information system that takes HL7 messages by MLLP, and acknowledges as it is told."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dicom_node.network.hl7.mllp import FrameReader, framed

Acknowledge = Callable[[str], bytes]
"""Gives what is sent back for a message, frame and all."""


def acknowledgement(code: str, message: str, more: str = "") -> bytes:
    """Acknowledge a message by its control ID."""
    control_id = message.split("\r", maxsplit=1)[0].split("|")[9]
    text = f"MSH|^~\\&|RIS||AINODE||20260301||ACK|1|P|2.5.1\rMSA|{code}|{control_id}\r{more}"
    return framed(text.encode())


def accept(message: str) -> bytes:
    """Accept a message."""
    return acknowledgement("AA", message)


class MllpSink(socketserver.ThreadingTCPServer):
    """Takes every message; `messages` holds them."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, acknowledge: Acknowledge, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.acknowledge, self.tls = acknowledge, tls
        self.messages: list[str] = []
        self.connections = 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Session(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, MllpSink)
        self.server.connections += 1
        connection = self.request
        if self.server.tls is not None:
            connection = self.server.tls.wrap_socket(connection, server_side=True)
        with connection:
            reader = FrameReader(connection, 1 << 20)
            while message := (reader.read(10) or b"").decode():
                self.server.messages.append(message)
                connection.sendall(self.server.acknowledge(message))


@contextmanager
def mllp_sink(
    acknowledge: Acknowledge = accept, tls: ssl.SSLContext | None = None
) -> Iterator[MllpSink]:
    """A server on a free port of this machine."""
    with MllpSink(acknowledge, tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
