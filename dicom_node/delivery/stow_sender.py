"""STOW-RS client (PS3.18 10.5): send results to a DICOMweb service, one object in each request.

The body is sent from the file: a large object is never held in memory. Secrets are files, read
again each time; they are in no error and no log.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import httpx
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.delivery.encoding.uncompressed import COMPRESSED, write_again
from dicom_node.delivery.outcome import UNREADABLE, Outcome, Verdict, unsendable
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.proof import may_be_for_its_syntax
from dicom_node.delivery.stow_client import (
    ServiceClient,
    Unanswered,
    Unreachable,
    exchange,
    service_client,
)
from dicom_node.delivery.stow_response import (
    OF_THE_PLACE,
    SERVER_ERRORS,
    SUCCESSFUL,
    holds_instance,
    judge_answer,
    unproven,
    words,
)
from dicom_node.errors import NodeError
from dicom_node.network.file_meta import read_meta
from dicom_node.network.status_codes import HTTP_NONE_STORED

DICOM, JSON = "application/dicom", "application/dicom+json"
CHUNK_BYTES = 1 << 17  #: of a file on its way
MAY_BE_STORED = (*SUCCESSFUL, HTTP_NONE_STORED)
MOST_SILENT = 3  #: requests in a row without an answer, before the service is at fault
NAMES = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]


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
    compressed
        Whether objects are sent as they are kept; else, and where that is refused, in explicit VR.
    """

    url: str
    timeout_seconds: float = 30.0
    user: str = ""
    password_file: Path | None = None
    token_file: Path | None = None
    authorities: Path | None = None
    compressed: bool = False

    def send(self, files: Iterable[OutgoingFile]) -> Generator[tuple[OutgoingFile, Outcome]]:
        """Send by STOW-RS.

        A request without an answer concerns its object alone; after a service that cannot be
        reached, or `MOST_SILENT` such requests in a row, the other files are postponed.
        """
        waiting, silent = list(files), 0
        try:
            with self._client() as client:
                while waiting:
                    outcome = _store(client, replace(waiting[0], as_kept=self.compressed))
                    yield waiting.pop(0), outcome
                    silent = silent + 1 if outcome.verdict is Verdict.UNANSWERED else 0
                    if silent >= MOST_SILENT:
                        raise Unreachable(f"no answer to {silent} requests, one after the other")
        except NodeError as fault:
            yield from ((file, _postponed(fault)) for file in waiting)

    def echo(self) -> Outcome:
        """Verify the service by a query for one study (QIDO-RS); nearly any answer will do."""
        try:
            with self._client() as client:
                status = exchange(client.build_request("GET", "studies?limit=1"), client).status
        except NodeError as fault:
            return _postponed(fault)
        if status in OF_THE_PLACE or status >= SERVER_ERRORS:
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
        return service_client(
            self.url,
            seconds=self.timeout_seconds,
            authorities=self.authorities,
            auth=password(self.user, self.password_file),
            headers=headers(JSON, self.token_file),
        )


def _store(client: ServiceClient, outgoing: OutgoingFile) -> Outcome:
    """Send one object: as it is kept if it may be, and in explicit VR where that is refused.

    Raises
    ------
    Unreachable
        If the service cannot be reached.
    """
    kept, *others = outgoing.syntaxes
    if kept == outgoing.transfer_syntax_uid:
        outcome = _store_file(client, outgoing.path, kept)
        if not (kept in COMPRESSED and may_be_for_its_syntax(outcome)):
            return outcome
        kept = others[0]
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / "again.dcm"
        try:
            write_again(outgoing.path, again, kept)
        except UNREADABLE as fault:
            return unsendable(fault)
        return _store_file(client, again, kept)


def _store_file(client: ServiceClient, path: Path, transfer_syntax_uid: str) -> Outcome:
    """Send a file.

    Where the service does not say that it stored it, and may have it nevertheless (a success, or
    a conflict, HTTP 409), a query tells.

    Raises
    ------
    Unreachable
        If the service cannot be reached.
    """
    try:
        with path.open("rb") as file:
            with path.open("rb", buffering=0) as head:
                uid = read_meta(head).sop_instance_uid
            answer = exchange(_request(client, file, transfer_syntax_uid), client)
    except Unanswered as fault:
        return Outcome(verdict=Verdict.UNANSWERED, detail=str(fault))
    except UNREADABLE as fault:
        return unsendable(fault)
    outcome = judge_answer(answer, uid)
    if outcome is not None and (
        outcome.verdict is Verdict.ACCEPTED or answer.status not in MAY_BE_STORED
    ):
        return outcome
    why_not_found = _look_for(client, path)
    if not why_not_found:
        return Outcome(verdict=Verdict.ACCEPTED, status=answer.status)
    return outcome or unproven(answer, why_not_found)


def _request(client: ServiceClient, file: BinaryIO, transfer_syntax_uid: str) -> httpx.Request:
    """Wrap a file in a multipart body (PS3.18 8.6.1.2.2), of known length.

    A transfer syntax other than the default of web services is named (PS3.18 8.7.3.5.2).
    """
    boundary = uuid4().hex
    plain = transfer_syntax_uid == ExplicitVRLittleEndian
    part_type = DICOM if plain else f"{DICOM}; transfer-syntax={transfer_syntax_uid}"
    head = f"--{boundary}\r\nContent-Type: {part_type}\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    length = len(head) + os.fstat(file.fileno()).st_size + len(tail)
    content_type = f'multipart/related; type="{DICOM}"; boundary={boundary}'
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


def _look_for(client: ServiceClient, path: Path) -> str:
    """Ask by query (QIDO-RS) for an object; return why it is not found, empty if it is."""
    try:
        names = dcmread(path, specific_tags=NAMES, stop_before_pixels=True)
    except UNREADABLE as fault:
        return f"its header cannot be read ({type(fault).__name__})"
    study, series = names.get("StudyInstanceUID", ""), names.get("SeriesInstanceUID", "")
    where = f"studies/{study}/series/{series}/instances"
    uid = str(names.get("SOPInstanceUID", ""))
    query = {"SOPInstanceUID": uid}
    try:
        answer = exchange(client.build_request("GET", where, params=query), client)
    except NodeError as fault:
        return f"it cannot be asked for it: {fault}"
    if holds_instance(answer, uid):
        return ""
    if answer.status in SUCCESSFUL:
        return "a query does not find it"
    return f"it cannot be asked for it (HTTP {answer.status})"


def _postponed(fault: NodeError) -> Outcome:
    return Outcome(verdict=Verdict.POSTPONED, detail=str(fault))


def password(user: str, file: Path | None) -> httpx.Auth | None:
    """Make the basic authentication (RFC 7617) of a user; None without a file.

    Raises
    ------
    NodeError
        If there is no password in the file.
    """
    return None if file is None else httpx.BasicAuth(user, secret("password_file", file))


def headers(accept: str, token_file: Path | None) -> Mapping[str, str]:
    """Make the headers of requests, with the bearer token (RFC 6750) if there is one.

    Raises
    ------
    NodeError
        If there is no token in the file.
    """
    plain = {"Accept": accept, "Accept-Encoding": "identity"}  # an answer could inflate
    if token_file is None:
        return plain
    return {**plain, "Authorization": f"Bearer {secret('token_file', token_file)}"}


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
