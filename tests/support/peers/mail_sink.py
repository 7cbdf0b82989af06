"""A mail server, as small as can be, that keeps what it gets (RFC 5321)."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import Message


class MailSink(socketserver.ThreadingTCPServer):
    """Takes every mail; `mails` holds them."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Session)
        self.mails: list[Message] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 sink")
        for line in self.rfile:
            word = line.split()[0].upper()
            if word == b"DATA":
                self._say("354 go on")
                self._take()
            self._say("221 bye" if word == b"QUIT" else "250 good")
            if word == b"QUIT":
                return

    def _take(self) -> None:
        body = bytearray()
        for line in self.rfile:
            if line == b".\r\n":
                break
            body += line.removeprefix(b".")
        assert isinstance(self.server, MailSink)
        self.server.mails.append(message_from_bytes(bytes(body), policy=policy.default))

    def _say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


@contextmanager
def mail_sink(port: int = 0) -> Iterator[MailSink]:
    """A server on a port of this machine, or on a free one."""
    with MailSink(port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
