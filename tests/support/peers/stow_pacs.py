"""A stand-in archive on loopback for DICOMweb: STOW-RS, and QIDO-RS for what it has stored."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

from pydicom import Dataset, dcmread

from tests.support.peers.pacs import LoopbackServer

Answer = tuple[int, bytes]
Behaviour = Callable[[int], Answer]
STORED: Answer = (200, b"")  #: with the object named: see `WebPacs.answer`


def failed(reason: int, status: int = 409) -> Answer:
    """Build the answer that an object was not stored."""
    sequence = {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [reason]}}]}
    return status, json.dumps({"00081198": sequence}).encode()


def naming(sop_instance_uid: str) -> bytes:
    """Build the body that names an object as stored."""
    sequence = {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [sop_instance_uid]}}]}
    return json.dumps({"00081199": sequence}).encode()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Report nothing: a handler, or the node, breaks off on purpose."""


@dataclass
class WebPacs(LoopbackServer):
    """Answers STOW-RS and QIDO-RS.

    Attributes
    ----------
    answer
        Gives the answer to the n-th object, from 0; one with STORED is held, and named.
    lets_in
        The header Authorization that is required; None for none.
    more
        Header fields of every answer.
    finds
        SOP Instance UIDs that every query finds, whatever it asks for; None finds what is held.
    received
        Objects in order of arrival.
    named_syntaxes
        Parameter transfer-syntax of each part that arrived; None where there is none.
    requests
        Method, path and header fields of every request.
    """

    answer: Behaviour = lambda _: STORED
    lets_in: str | None = None
    more: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    port: int = 0
    finds: list[str] | None = None
    received: list[Dataset] = field(default_factory=list)
    held: list[Dataset] = field(default_factory=list)
    named_syntaxes: list[str | None] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def start(self) -> int:
        pacs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                pacs._post(self)

            def do_GET(self) -> None:
                pacs._get(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", self.port), Handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self._server.server_port

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}/dicom-web"

    @property
    def uids(self) -> list[str]:
        return [str(ds.SOPInstanceUID) for ds in self.received]

    def _post(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        if self._may(request):
            ds = stored_in(request.headers["Content-Type"], body)
            named = re.search(rb"transfer-syntax=([\d.]+)", body.partition(b"\r\n\r\n")[0])
            self.named_syntaxes.append(named[1].decode() if named else None)
            status, answer = self.answer(len(self.received))
            self.received.append(ds)
            if (status, answer) == STORED:
                self.held.append(ds)
                answer = naming(str(ds.SOPInstanceUID))
            self._respond(request, status, answer)

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        if self._may(request):
            _, _, uid = request.path.partition("?SOPInstanceUID=")
            uids = [ds.SOPInstanceUID for ds in self.held if ds.SOPInstanceUID == uid]
            uids = uids if self.finds is None else self.finds
            matches = [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids]
            self._respond(request, 200, json.dumps(matches).encode())

    def _may(self, request: BaseHTTPRequestHandler) -> bool:
        headers = dict(request.headers.items())
        self.requests.append((request.command, request.path, headers))
        allowed = self.lets_in in (None, headers.get("Authorization"))
        if not allowed:
            self._respond(request, 401, b"")
        return allowed

    def _respond(self, request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        request.send_response(status)
        for name, value in ({"Content-Type": "application/dicom+json"} | self.more).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


def stored_in(content_type: str, body: bytes) -> Dataset:
    """Read the one object of a request, by another multipart parser than the node's."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = message_from_bytes(head + body, policy=HTTP)
    assert message.get_content_type() == "multipart/related"
    assert message.get_param("type") == "application/dicom"
    (part,) = message.iter_parts()
    assert part.get_content_type() == "application/dicom"
    return dcmread(BytesIO(bytes(part.get_payload(decode=True))))
