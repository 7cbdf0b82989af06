"""Find out which program asks: by the bearer token of its request alone (RFC 6750 2.1)."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request

from dicom_node.console.access.failed_logins import Failure
from dicom_node.console.access.login_limit import network_of
from dicom_node.console.access.people import Role
from dicom_node.console.access.tokens import TOKEN
from dicom_node.console.context import Console, address_of, console_of
from storage.console.tokens import USED_EVERY, Token, find_token, note_use

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="dicom-node"'}


def has_token(request: Request) -> bool:
    """Say whether a request brings something to be known by."""
    return "authorization" in request.headers


def caller_of(request: Request, role: Role) -> Token:
    """Find the token of a request, whose role includes another.

    Raises
    ------
    HTTPException
        If it has none, one that is worth nothing, or of a lesser role; or asks too often.
    Busy
        If no token can be checked.
    """
    console = console_of(request)
    text = _presented(request)
    found = _known(console, text) if text else None
    if found is None:
        raise _refusal(request)
    if wait := console.api_limits.requests.wait_seconds(found.name):
        raise _too_often(wait)
    if not Role(found.role).includes(role):
        raise HTTPException(HTTPStatus.FORBIDDEN, f"this needs a token of the role {role}")
    return found


def _presented(request: Request) -> str:
    """Give the token that a request shows; empty if it has not exactly one of our form."""
    values = request.headers.getlist("authorization")
    scheme, _, text = (values[0] if len(values) == 1 else "").partition(" ")
    is_ours = scheme.lower() == "bearer" and TOKEN.fullmatch(text.strip())
    return text.strip() if is_ours else ""


def _known(console: Console, text: str) -> Token | None:
    digest = console.identity_key("tokens cannot be checked").digest_of_token(text)
    now = console.clock()
    with console.sessions.reading() as session:
        found = find_token(session, digest, now)
    if found is not None and (found.used_at is None or now - found.used_at > USED_EVERY):
        with console.sessions.begin() as session:
            note_use(session, digest, now)
    return found


def _refusal(request: Request) -> HTTPException:
    if not has_token(request):
        return HTTPException(HTTPStatus.UNAUTHORIZED, "expected a bearer token", CHALLENGE)
    console = console_of(request)
    if wait := console.api_limits.refused.wait_seconds(network_of(address_of(request))):
        return _too_often(wait)
    console.note_failure(request, Failure.TOKEN)
    text = "the token is not known, was revoked, or has expired"
    return HTTPException(HTTPStatus.UNAUTHORIZED, text, CHALLENGE)


def _too_often(wait: float) -> HTTPException:
    seconds = int(wait) + 1
    return HTTPException(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"too many requests: wait {seconds} seconds",
        {"Retry-After": str(seconds)},
    )
