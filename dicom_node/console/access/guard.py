"""Guard every request: its host, its origin, its session, its form token, its size.

A browser sends our cookie with whatever page makes it ask us. So a request that changes something
must come from our own pages (Sec-Fetch-Site, else Origin, compared with the hosts of the
settings, never with the Host header alone), and must bring the token of its session.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicom_node.console.language.translation import language_of
from pipeline.encode.language.languages import Language
from pipeline.encode.language.translation import writing_in

BODY_SECONDS = 20.0  #: longest wait for the next part of a form
MAXIMUM_FORM = 1 << 16  #: bytes of the body of a request
MAXIMUM_UPLOAD = (1 << 20) + MAXIMUM_FORM  #: bytes of one that brings a file
UPLOADS = frozenset({"/performance/import"})  #: paths that take one
FOR_PROGRAMS = ("/api/", "/worklist.csv")  #: paths whose answers are in English for everybody
LENGTH = re.compile(r"[0-9]{1,15}")
COOKIE = "__Host-session"  #: RFC 6265bis 4.1.3.2: only over TLS, for this host alone
PLAIN_COOKIE = "session"  #: on loopback without TLS
SAFE = {"GET", "HEAD", "OPTIONS"}
OUR_PAGES = {"same-origin", "none"}  #: Sec-Fetch-Site: our pages; an address typed, a bookmark
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # without any, a form comes with the origin "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
NOT_KEPT = "no-store"  #: pages may show patients: no cache keeps them
STRICT_TRANSPORT = "max-age=31536000"  #: a year, RFC 6797


def new_token() -> str:
    """Draw the token of a session, or of its forms: 256 bits."""
    return secrets.token_urlsafe(32)


def token_digest(token: str) -> str:
    """Digest of a token, as the database keeps it."""
    return hashlib.sha256(token.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two tokens are equal; it takes as long wherever they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def host_name(value: str) -> str:
    """Name of the host in a Host header or an origin, without its port, in lower case."""
    try:
        return (urlsplit(f"//{value}").hostname or "").lower()
    except ValueError:  # half an address of IPv6
        return ""


def _body_in_time(receive: Receive, seconds: float) -> Receive:
    """Wait so long for each part of a body; for what comes after its end as long as it takes."""
    has_ended = False

    async def receive_in_time() -> Message:
        nonlocal has_ended
        if has_ended:
            return await receive()
        message = await asyncio.wait_for(receive(), seconds)
        has_ended = not message.get("more_body", False)
        return message

    return receive_in_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Middleware: turns away what no browser with our pages sends; sets security headers.

    Attributes
    ----------
    hosts
        Names and addresses by which the console may be called.
    is_secure
        Whether it is reached by TLS.
    body_seconds
        Longest wait for the next part of a body.
    """

    app: ASGIApp
    hosts: Collection[str]
    is_secure: bool
    body_seconds: float = BODY_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, and pass it on or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if "Cache-Control" not in headers:
                    headers["Cache-Control"] = NOT_KEPT
                if self.is_secure:
                    headers["Strict-Transport-Security"] = STRICT_TRANSPORT
            await send(message)

        refusal = self._refusal(scope["method"], scope["path"], Headers(scope=scope))

        waits = receive
        if scope["method"] not in SAFE:
            waits = _body_in_time(receive, self.body_seconds)
        is_for_programs = scope["path"].startswith(FOR_PROGRAMS)
        language = Language.ENGLISH if is_for_programs else language_of(HTTPConnection(scope))
        with writing_in(language):
            await (refusal or self.app)(scope, waits, send_with_headers)

    def _refusal(self, method: str, path: str, headers: Headers) -> Response | None:
        """Answer to a request that is turned away; None if it is not."""
        if len(headers.getlist("host")) != 1 or host_name(headers["host"]) not in self.hosts:
            return PlainTextResponse("this host name is not one of the console's", 421)
        if method in SAFE:
            return None
        if not self._is_ours(headers):
            return PlainTextResponse("changes are taken from the console's own pages only", 403)
        length = headers.get("content-length", "")
        # a Transfer-Encoding would win over the length
        if "transfer-encoding" in headers or not LENGTH.fullmatch(length):
            return PlainTextResponse("expected a Content-Length", 411)
        most = MAXIMUM_UPLOAD if path in UPLOADS else MAXIMUM_FORM
        if int(length) > most:
            return PlainTextResponse(f"at most {most} bytes expected", 413)
        return None

    def _is_ours(self, headers: Headers) -> bool:
        """Whether a request that changes something comes from one of our own pages."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None and site not in OUR_PAGES:
            return False
        if origin is None:
            return site is not None
        scheme, _, place = origin.partition("://")
        return (
            scheme == ("https" if self.is_secure else "http")
            and host_name(place) in self.hosts
            and place.lower() == headers["host"].lower()
        )
