"""Sending to services that are wicked: none keeps us waiting, and none sends us elsewhere."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from dicom_node.errors import NodeError
from dicom_node.notify.apprise_sender import send_message
from dicom_node.notify.one_message import MOST_MEMORY_BYTES
from tests.support.peers.web_sink import web_sink

Answer = Callable[[Any], None]
"""Answers on a connection, as a file to write to."""


@contextmanager
def service(answer: Answer) -> Iterator[str]:
    """Listen on a free port of this machine; gives the URL."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            with suppress(OSError):
                answer(self.wfile)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"json://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_service_that_answers_without_end_is_left() -> None:
    over = threading.Event()

    def drip(file: Any) -> None:  # noqa: ANN401  # a stream of a socket
        file.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
        for _ in range(30):
            file.write(b"x")
            over.wait(0.3)

    with service(drip) as url, pytest.raises(NodeError, match="no end within 3 s"):
        send_message(url, "title", "body", longest_seconds=3)
    over.set()


def test_a_service_that_answers_with_too_much_did_not_take_it() -> None:
    def flood(file: Any) -> None:  # noqa: ANN401  # a stream of a socket
        file.write(f"HTTP/1.1 200 OK\r\nContent-Length: {MOST_MEMORY_BYTES}\r\n\r\n".encode())
        for _ in range(MOST_MEMORY_BYTES >> 20):
            file.write(bytes(1 << 20))

    with service(flood) as url, pytest.raises(NodeError, match="did not take it"):
        send_message(url, "title", "body")


def test_a_message_is_sent_nowhere_else() -> None:
    with web_sink() as web:

        def redirect(file: Any) -> None:  # noqa: ANN401  # a stream of a socket
            to = f"http://127.0.0.1:{web.port}/"
            file.write(f"HTTP/1.1 307 So\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode())

        with service(redirect) as url, pytest.raises(NodeError, match="did not take it"):
            send_message(url, "title", "body")

    assert web.posted == []


def test_a_text_that_is_too_long_for_a_service_is_several_messages() -> None:
    with web_sink() as web:
        send_message(f"json://127.0.0.1:{web.port}", "title", "0123456789\n" * 4_000)

    assert len(web.posted) == 2
