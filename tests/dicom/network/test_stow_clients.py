"""STOW-RS clients as they are: what they accept, and a trace of each that is turned away."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
import trustme

from dicom_node.network.tls import client_context, server_context
from dicom_node.reception.stow.app import Limits
from dicom_node.reception.stow.response import JSON, XML, acceptable
from dicom_node.reception.stow.server import StowReceiver
from tests.support.node_process import wait_until
from tests.support.peers.credentials import credentials, expired_credentials
from tests.support.peers.sink import RememberingSink
from tests.support.peers.wire_client import association_request

SOON = 0.5  #: seconds, for the head of a request here
RELATED = 'Multipart/Related; Type=application/dicom; charset=utf-8; boundary="a b"'
CT = "1.2.840.10008.5.1.4.1.1.2"


@dataclass
class Serving:
    memory: RememberingSink
    address: tuple[str, int]


def serving(tls: ssl.SSLContext | None = None) -> Iterator[Serving]:
    memory = RememberingSink()
    receiver = StowReceiver(
        token="",
        limits=Limits(request_bytes=100_000, silent_seconds=5),
        maximum_requests=4,
        head_seconds=SOON,
    )
    address = receiver.listen(("127.0.0.1", 0), memory, tls=tls)
    yield Serving(memory, address)
    receiver.drain(deadline=time.monotonic() + 5)


@pytest.fixture(scope="module")
def plain() -> Iterator[Serving]:
    yield from serving()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    ours = credentials(tmp_path_factory.mktemp("tls"), authority, "node")
    yield from serving(server_context(ours, verify_peers=True))


def message() -> bytes:
    def element(number: int, uid: str) -> bytes:
        value = uid.encode() + b"\0" * (len(uid) % 2)
        return b"\2\0" + bytes([number, 0]) + b"UI" + len(value).to_bytes(2, "little") + value

    meta = element(2, CT) + element(3, "1.2.3") + element(0x10, "1.2.840.10008.1.2.1")
    length = b"\2\0\0\0UL\4\0" + len(meta).to_bytes(4, "little")
    data = b"\x20\0\x0d\0UI\4\x001.2\0\x20\0\x0e\0UI\4\x001.3\0"
    body = bytes(128) + b"DICM" + length + meta + data
    return b"see below\r\n--a b\r\n\r\n" + body + b"\r\n--a b--\r\nthe end"


def post(
    plain: Serving, path: str = "/studies/", accept: str | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*plain.address, timeout=20)
    headers = {"Content-Type": RELATED} | ({"Accept": accept} if accept else {})
    body = message()
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]  # for the test
    connection.close()
    return answer


@pytest.mark.parametrize("path", ["/studies/", "/studies", "/studies/1.2/"])
def test_a_client_may_write_its_request_as_it_likes(plain: Serving, path: str) -> None:
    plain.memory.kept.clear()
    answer = post(plain, path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, JSON)
    assert plain.memory.kept == ["1.2.3"]


def test_a_client_that_accepts_xml_gets_xml(plain: Serving) -> None:
    """Native DICOM Model, PS3.19 A.1."""
    answer = post(plain, accept="application/dicom+xml")
    assert answer.headers["Content-Type"] == XML
    root = fromstring(answer.body)  # type: ignore[attr-defined]  # noqa: S314  # ours
    (sequence,) = root.iterfind("DicomAttribute")
    assert (sequence.get("tag"), sequence.get("vr")) == ("00081199", "SQ")
    found = {one.get("keyword"): one.findtext("Value") for one in sequence.iterfind("Item/*")}
    assert found == {"ReferencedSOPClassUID": CT, "ReferencedSOPInstanceUID": "1.2.3"}


def test_a_client_that_accepts_neither_is_told_before_anything_is_stored(plain: Serving) -> None:
    plain.memory.kept.clear()
    assert post(plain, accept="text/html").status == 406
    assert plain.memory.kept == []
    assert plain.memory.latest().what == "request, answered 406"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("Application/DICOM+JSON;q=0.9, application/dicom+xml", XML),
        ("application/dicom+xml;q=0.5, application/json", JSON),
        ("text/xml", XML),
        ("application/dicom+json;q=0", None),
        ("text/html, image/png;q=x", None),
    ],
)
def test_accept_is_read_as_http_has_it(accept: str, media_type: str | None) -> None:
    assert acceptable(accept) == media_type


@pytest.mark.parametrize(("method", "path"), [("GET", "/studies?PatientName=X"), ("GET", "/")])
def test_other_requests_are_recorded_without_what_they_ask_for(
    plain: Serving, method: str, path: str
) -> None:
    connection = http.client.HTTPConnection(*plain.address, timeout=20)
    connection.request(method, path)
    assert connection.getresponse().status == (404 if path == "/" else 405)
    connection.close()
    refusal = plain.memory.latest()
    assert (refusal.address, refusal.kind) == ("127.0.0.1", "association_rejected")
    assert "PatientName" not in f"{refusal.what} {refusal.reason}"


FIRST_BYTES = {
    "nothing": (b"", "without sending anything"),
    "half a head": (b"POST /stu", "in the midst of its request"),
    "DICOM": (association_request(), "it speaks DICOM, this port speaks HTTP"),
    "TLS": (b"\x16\3\1\0\x05hello\r\n\r\n", "it speaks TLS, this port speaks HTTP"),
    "garbage": (b"\xff\xfe\r\n\r\n", "its request is no HTTP"),
}


@pytest.mark.parametrize("name", FIRST_BYTES)
def test_what_is_no_request_leaves_a_trace(plain: Serving, name: str) -> None:
    data, reason = FIRST_BYTES[name]
    with socket.create_connection(plain.address, timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        refusal = plain.memory.latest()
    assert reason in refusal.reason
    assert (refusal.address, refusal.kind) == ("127.0.0.1", "association_broken")


def test_who_asks_for_nothing_in_time_leaves_a_trace(plain: Serving) -> None:
    with socket.create_connection(plain.address):
        assert plain.memory.latest().reason == "it sent no request in time"


BY_TLS = {
    "plain": "it does not speak TLS",
    "no certificate": "it showed no certificate",
    "expired": "its certificate has expired",
}


@pytest.mark.parametrize("name", BY_TLS)
def test_who_fails_the_handshake_leaves_the_true_reason(
    secure: Serving, authority: trustme.CA, tmp_path: Path, name: str
) -> None:
    nobody = ssl.create_default_context()
    authority.configure_trust(nobody)
    old = client_context(expired_credentials(tmp_path, authority, "old"))
    context = {"plain": None, "no certificate": nobody, "expired": old}[name]
    with suppress(OSError), socket.create_connection(secure.address, timeout=20) as connection:
        wire = (
            context.wrap_socket(connection, server_hostname="localhost") if context else connection
        )
        wire.sendall(b"POST /studies HTTP/1.1\r\n\r\n")
        wire.recv(1)
        wire.close()
    refusal = secure.memory.latest()
    assert refusal.reason.startswith(BY_TLS[name])
    assert refusal.address == "127.0.0.1"


def test_who_hangs_up_before_the_handshake_is_recorded_with_the_next(secure: Serving) -> None:
    socket.create_connection(secure.address, timeout=20).close()

    def is_recorded() -> bool:
        socket.create_connection(secure.address, timeout=20).close()
        return any("TLS handshake" in one.reason for one in secure.memory.refused)

    wait_until(is_recorded, seconds=20, what="a trace of a connection that was none")
