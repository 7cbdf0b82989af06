"""A web service that keeps what is posted or put to it, and answers as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Posted:
    """One request, as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Posted], tuple[int, str, bytes]]
"""Gives status, media type and body."""


def take(_: Posted) -> tuple[int, str, bytes]:
    """Answer that all is well."""
    return 200, "text/plain", b"taken"


class WebSink(ThreadingHTTPServer):
    """Takes every request; `posted` holds them."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.posted: list[Posted] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Posted(self.command, self.path, dict(self.headers.items()), body)
        assert isinstance(self.server, WebSink)
        self.server.posted.append(request)
        status, media_type, answer = self.server.answer(request)
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = do_GET = _take  # noqa: N815  # names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as http.server has it
        """Print nothing."""


@contextmanager
def web_sink(answer: Answer = take) -> Iterator[WebSink]:
    """A service on a free port of this machine."""
    with WebSink(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
