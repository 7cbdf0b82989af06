"""STOW-RS endpoint (PS3.18 10.5): authentication, size limits, content type.

Instances are stored by the same sink as those of C-STORE. A request is read by a thread of its
own, chunk by chunk, as fast as the disk takes it.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError, Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dicom_node.errors import AssociationBroken
from dicom_node.network.pynetdicom_internals.message_bounds import Pace
from dicom_node.network.status_codes import HTTP_BUSY, HTTP_NO_ROOM
from dicom_node.reception.header import MAX_UID
from dicom_node.reception.refusals import Refusal
from dicom_node.reception.store_handler import InstanceSink
from dicom_node.reception.stow.instances import CALLING_AE, DICOM, status_code, store
from dicom_node.reception.stow.multipart import TooManyParts, parts
from dicom_node.reception.stow.response import JSON, XML, acceptable, encoded, response
from pipeline.reasons import RefusedReason
from pipeline.series.sop_classes import CT_CLASSES

MAX_BOUNDARY = 70  #: characters, RFC 2046 5.1.1
RETRY_SECONDS = 60  #: after which a sender may try again when there was no room
ON_REFUSAL: dict[int, dict[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.METHOD_NOT_ALLOWED: {"Allow": "POST"},
    HTTP_BUSY: {"Retry-After": str(RETRY_SECONDS)},
}
"""Header fields of a refusal."""
OTHER_REQUEST = "only instances are taken here, by POST to /studies"
PATHS = ("/studies", "/studies/", "/studies/{study_uid}", "/studies/{study_uid}/")
EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"]


class TooLarge(AssociationBroken):
    """The body of a request is longer than it may be."""


class Refused(Exception):
    """A request is refused as a whole: the HTTP status, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one request.

    Attributes
    ----------
    request_bytes
        Longest body.
    silent_seconds
        Longest wait for the next bytes.
    """

    request_bytes: int
    silent_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StowService:
    """The STOW-RS service.

    Attributes
    ----------
    token
        Bearer token of the senders; empty lets anybody send.
    threads
        Run the requests.
    places
        One for each request that may run; taken once its token was checked.
    sop_classes
        Of the instances that are taken.
    """

    sink: InstanceSink
    limits: Limits
    threads: Executor
    places: threading.BoundedSemaphore
    token: str = field(default="", repr=False)
    sop_classes: Sequence[str] = CT_CLASSES

    def app(self) -> Starlette:
        """Make the ASGI application."""
        return Starlette(
            routes=[
                *(Route(path, self.handle, methods=["POST"]) for path in PATHS),
                Route("/{path:path}", self.refuse_other, methods=EVERY_METHOD),
            ]
        )

    async def handle(self, request: Request) -> Response:
        """Store the instances of a request; answer with the outcome of each."""
        loop = asyncio.get_running_loop()
        try:
            self._admit(request)
            with self._place():
                chunks = self._chunks(request, loop)
                return await loop.run_in_executor(self.threads, self._store, request, chunks)
        except Refused as refused:
            return self._refuse(request, refused)
        except (TooLarge, TooManyParts) as fault:
            return self._refuse(request, Refused(413, str(fault)))
        except AssociationBroken as fault:
            return self._refuse(request, Refused(400, str(fault)))

    async def refuse_other(self, request: Request) -> Response:
        """Answer a request for anything but storing; its path may name a patient, we do not."""
        is_ours = request.url.path.strip("/").partition("/")[0] == "studies"
        status = HTTPStatus.METHOD_NOT_ALLOWED if is_ours else HTTPStatus.NOT_FOUND
        return self._refuse(request, Refused(status, OTHER_REQUEST))

    def _refuse(self, request: Request, refused: Refused) -> Response:
        """Answer a refusal, and record it."""
        address = request.client.host if request.client else ""
        self.sink.record_refusal(
            Refusal(
                kind="association_rejected",
                calling_ae=CALLING_AE,
                address=address,
                what=f"request, answered {int(refused.status)}",
                reason=refused.reason,
            )
        )
        headers = ON_REFUSAL.get(refused.status)
        return PlainTextResponse(f"{refused.reason}\n", refused.status, headers=headers)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Hold one of the places for requests that run."""
        if not self.places.acquire(blocking=False):
            raise Refused(HTTP_BUSY, "as many requests run as may")
        try:
            yield
        finally:
            self.places.release()

    def _admit(self, request: Request) -> None:
        """Check token, announced length and study of a request, before its body is read."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        is_known = secrets.compare_digest(token.strip().encode(), self.token.encode())
        if self.token and not (is_known and scheme.lower() == "bearer"):
            raise Refused(401, RefusedReason.NO_VALID_BEARER_TOKEN.value)
        length = request.headers.get("content-length", "0")
        if int(length) > self.limits.request_bytes:
            raise Refused(413, f"expected at most {self.limits.request_bytes} bytes, got {length}")
        if len(request.path_params.get("study_uid", "")) > MAX_UID:
            raise Refused(400, f"expected a Study Instance UID of at most {MAX_UID} characters")

    def _store(self, request: Request, chunks: Iterator[bytes]) -> Response:
        boundary, media_type = _boundary(request), _media_type(request)
        study_uid = request.path_params.get("study_uid", "")
        address = request.client.host if request.client else ""
        outcomes = store(
            parts(chunks, boundary),
            self.sink,
            study_uid,
            address=address,
            taken=self.sop_classes,
        )
        if not outcomes:
            raise Refused(400, "expected instances, got a message without parts")
        code = status_code(outcomes)
        headers = {"Retry-After": str(RETRY_SECONDS)} if code == HTTP_NO_ROOM else {}
        content = encoded(response(outcomes), media_type)
        return Response(content, code, media_type=media_type, headers=headers)

    def _chunks(self, request: Request, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
        """Yield the body on a thread of the pool; a chunk is read only when it is asked for."""
        stream = request.stream()

        async def next_chunk() -> bytes:
            async with asyncio.timeout(self.limits.silent_seconds):
                return await anext(stream, b"")

        left, pace = self.limits.request_bytes, Pace(self.limits.silent_seconds)
        while chunk := self._pull(next_chunk, loop):
            left -= len(chunk)
            pace.check(self.limits.request_bytes - left)
            if left < 0:
                raise TooLarge(f"expected at most {self.limits.request_bytes} bytes, got more")
            yield chunk

    def _pull(
        self, next_chunk: Callable[[], Coroutine[Any, Any, bytes]], loop: asyncio.AbstractEventLoop
    ) -> bytes:
        """Wait, on this thread, for the next chunk; empty at the end of the body."""
        if loop.is_closed():
            raise AssociationBroken("the node stops")
        try:
            future = asyncio.run_coroutine_threadsafe(next_chunk(), loop)
            return future.result(2 * self.limits.silent_seconds)  # the loop itself may have ended
        except TimeoutError as late:
            raise AssociationBroken("the sender is silent") from late
        except ClientDisconnect as gone:
            raise AssociationBroken("the connection was closed") from gone
        except CancelledError as stopped:
            raise AssociationBroken("the node stops") from stopped


def _media_type(request: Request) -> str:
    """Choose the media type of the response, before anything is stored (PS3.18 8.3.3, 8.7.8)."""
    fields = ",".join(request.headers.getlist("accept"))
    media_type = acceptable(request.query_params.get("accept", fields))
    if media_type is None:
        raise Refused(406, f"expected a sender that accepts {JSON} or {XML}, got another")
    return media_type


def _boundary(request: Request) -> bytes:
    """Find the boundary of a message of instances (PS3.18 8.7.1.2, RFC 2387)."""
    content_type, options = parse_options_header(request.headers.get("content-type"))
    part_type = options.get(b"type", b"").decode("latin-1").lower()
    if content_type != b"multipart/related" or part_type not in {"", DICOM}:
        raise Refused(415, f'expected multipart/related; type="{DICOM}", got another type')
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "expected a body without Content-Encoding, got one")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= MAX_BOUNDARY:
        raise Refused(400, f"expected a boundary of 1 to {MAX_BOUNDARY} characters")
    return boundary
