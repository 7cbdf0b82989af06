"""STOW-RS client (PS3.18 10.5): send results to a DICOMweb service, one object in each request.

The body is sent from the file: a large object is never held in memory. Secrets are files, read
again each time; they are in no error and no log.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import httpx
from pydicom import dcmread

from dicom_node.delivery.outcome import Outcome, Verdict, unsendable
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.stow_response import (
    SERVER_ERRORS,
    STORED,
    HttpAnswer,
    holds_instance,
    judge_answer,
    words,
)
from dicom_node.errors import NodeError
from dicom_node.network.answer_watch import AnswerWatch
from dicom_node.network.status_codes import HTTP_NONE_STORED
from dicom_node.network.tls_failure import tls_cause

JSON = "application/dicom+json"
CHUNK_BYTES = 1 << 17  #: of a file on its way
MAXIMUM_ANSWER_BYTES = 1 << 20  #: most that is read of an answer
CONNECT_SECONDS = 10.0  #: longest wait for a connection
NO_ACCESS = (401, 403, 404)  #: a service that answers so would accept no results either


class Unreachable(NodeError):
    """There was no answer by HTTP."""


class ServiceClient(httpx.Client):
    """A client of one service, with what hangs up on answers that take too long."""

    def __init__(self, watch: AnswerWatch, **options: Any) -> None:  # noqa: ANN401  # handed on
        super().__init__(**options)
        self.watch = watch


@dataclass(frozen=True, slots=True, kw_only=True)
class StowSender:
    """Sends by requests to a DICOMweb service.

    Attributes
    ----------
    url
        Base URL of the service.
    timeout_seconds
        Longest wait for the service to read or to send any bytes, and for the body of its answer.
    user, password_file
        For basic authentication (RFC 7617).
    token_file
        For a bearer token (RFC 6750).
    authorities
        Certificates of those who sign the service's; None trusts those of the system.
    """

    url: str
    timeout_seconds: float = 30.0
    user: str = ""
    password_file: Path | None = None
    token_file: Path | None = None
    authorities: Path | None = None

    def send(self, files: Iterable[OutgoingFile]) -> Generator[tuple[OutgoingFile, Outcome]]:
        """Send by STOW-RS; after a request without an answer, the other files are postponed."""
        waiting = list(files)
        try:
            with self._client() as client:
                while waiting:
                    outcome = _store(client, waiting[0])
                    yield waiting.pop(0), outcome
        except NodeError as fault:
            yield from ((file, _postponed(fault)) for file in waiting)

    def echo(self) -> Outcome:
        """Verify the service by a query for one study (QIDO-RS); nearly any answer will do."""
        try:
            with self._client() as client:
                status = _exchange(client.build_request("GET", "studies?limit=1"), client).status
        except NodeError as fault:
            return _postponed(fault)
        if status in NO_ACCESS or status >= SERVER_ERRORS:
            return Outcome(verdict=Verdict.REFUSED, status=status, detail=words(status))
        return Outcome(verdict=Verdict.ACCEPTED, status=status)

    def probe(self) -> None:
        """Return None: DICOMweb negotiates no SOP classes."""

    def check(self) -> None:
        """Read the secrets and certificates that sending needs.

        Raises
        ------
        NodeError
            If one is missing or is not what it should be; it is named.
        """
        self._client().close()

    def _client(self) -> ServiceClient:
        wait = self.timeout_seconds
        return ServiceClient(
            AnswerWatch(wait),
            base_url=self.url,
            verify=_context(self.authorities),
            auth=self._password(),
            headers=self._headers(),
            timeout=httpx.Timeout(wait, connect=min(wait, CONNECT_SECONDS)),
            trust_env=False,  # the settings alone say where results go, and as whom
            follow_redirects=False,
        )

    def _password(self) -> httpx.Auth | None:
        if self.password_file is None:
            return None
        return httpx.BasicAuth(self.user, secret("password_file", self.password_file))

    def _headers(self) -> Mapping[str, str]:
        plain = {"Accept": JSON, "Accept-Encoding": "identity"}  # an answer could inflate
        if self.token_file is None:
            return plain
        token = secret("token_file", self.token_file)
        return {**plain, "Authorization": f"Bearer {token}"}


def _store(client: ServiceClient, outgoing: OutgoingFile) -> Outcome:
    """Send one object.

    An object in conflict (HTTP 409) is in the archive already, or is refused: a query tells.
    """
    try:
        with outgoing.path.open("rb") as file:
            answer = _exchange(_request(client, file), client)
        outcome = judge_answer(answer)
        in_conflict = answer.status == HTTP_NONE_STORED and outcome.verdict is Verdict.REFUSED
        if in_conflict and _is_stored(client, outgoing.path):
            return Outcome(verdict=Verdict.ACCEPTED, status=HTTP_NONE_STORED)
    except OSError as fault:
        return unsendable(fault)
    return outcome


def _request(client: ServiceClient, file: BinaryIO) -> httpx.Request:
    """Wrap a file in a multipart body (PS3.18 8.6.1.2.2), of known length."""
    boundary = uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    length = len(head) + os.fstat(file.fileno()).st_size + len(tail)
    content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
    return client.build_request(
        "POST",
        "studies",
        content=_body(head, file, tail),
        headers={"Content-Type": content_type, "Content-Length": str(length)},
    )


def _body(head: bytes, file: BinaryIO, tail: bytes) -> Iterator[bytes]:
    yield head
    yield from iter(partial(file.read, CHUNK_BYTES), b"")
    yield tail


def _exchange(request: httpx.Request, client: ServiceClient) -> HttpAnswer:
    """Send a request, and read the answer, up to `MAXIMUM_ANSWER_BYTES`.

    Raises
    ------
    Unreachable
        If there is no answer, or it does not come to its end in time.
    """
    body, watch = bytearray(), client.watch
    request.extensions["trace"] = watch
    try:
        response = client.send(request, stream=True)
        try:
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > MAXIMUM_ANSWER_BYTES:
                    break
        finally:
            response.close()
    except httpx.HTTPError as fault:
        why = tls_cause(fault) or str(fault) or type(fault).__name__
        slow = f"{client.base_url} answers too slowly"
        raise Unreachable(
            slow if watch.hung_up else f"{client.base_url} does not answer: {why}"
        ) from fault
    finally:
        watch.stop()
    return HttpAnswer(
        status=response.status_code,
        content_type=response.headers.get("Content-Type", ""),
        body=bytes(body),
    )


def _is_stored(client: ServiceClient, path: Path) -> bool:
    """Ask by query (QIDO-RS) whether the archive has an object."""
    ds = dcmread(path, specific_tags=["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
    where = f"studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances"
    query = {"SOPInstanceUID": str(ds.SOPInstanceUID)}
    answer = _exchange(client.build_request("GET", where, params=query), client)
    return answer.status in STORED and holds_instance(answer.body, str(ds.SOPInstanceUID))


def _postponed(fault: NodeError) -> Outcome:
    return Outcome(verdict=Verdict.POSTPONED, detail=str(fault))


def secret(key: str, file: Path) -> str:
    """Read a password or a token: one line.

    Raises
    ------
    NodeError
        If there is none; the error does not quote the file.
    """
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise NodeError(
            f"{key}: expected a file with one line of ASCII, got {file} ({type(fault).__name__})"
        ) from None
    if not (text and text.isprintable()):
        raise NodeError(f"{key}: expected one line of ASCII in {file}, got none or several")
    return text


def _context(authorities: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as fault:
        raise NodeError(
            f"[tls] authorities: expected a PEM file of certificates, got {authorities}"
            f" ({type(fault).__name__})"
        ) from fault
