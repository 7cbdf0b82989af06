"""A load balancer that hands every connection on, and begins it with a header."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer

from dicom_node.network.addresses.proxy_protocol import BLOCK, SIGNATURE

BALANCER = "127.0.0.9"  #: address of the balancer, as the node sees it


def line(sender: str, port: int = 4711) -> bytes:
    """Header of version 1."""
    version = ipaddress.ip_address(sender).version
    return f"PROXY TCP{version} {sender} {sender} {port} 104\r\n".encode()


def block(sender: str, port: int = 4711, more: bytes = b"") -> bytes:
    """Header of version 2; behind the addresses it may have more."""
    address = ipaddress.ip_address(sender)
    rest = address.packed * 2 + struct.pack(">HH", port, 104) + more
    return BLOCK.pack(SIGNATURE, 0x21, 0x11 if address.version == 4 else 0x21, len(rest)) + rest


class _Forward(BaseRequestHandler):
    server: Balancer

    def handle(self) -> None:
        onward = socket.create_connection(self.server.target, source_address=(BALANCER, 0))
        with onward, suppress(OSError):
            onward.sendall(self.server.header)
            back = threading.Thread(target=_pump, args=(onward, self.request))
            back.start()
            _pump(self.request, onward)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Hand on what comes, and then the end."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class Balancer(ThreadingTCPServer):
    """Hands connections on to `target`, each behind `header`."""

    target: tuple[str, int]
    header: bytes


@contextmanager
def balancing(target: tuple[str, int], header: bytes) -> Iterator[tuple[str, int]]:
    """Run a balancer whose connections all begin with a header; give its address."""
    with Balancer(("127.0.0.1", 0), _Forward) as balancer:
        balancer.target, balancer.header = target, header
        thread = threading.Thread(target=balancer.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            host, port = balancer.server_address[:2]
            yield str(host), int(port)
        finally:
            balancer.shutdown()
            thread.join()
