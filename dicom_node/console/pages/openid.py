"""Log in by the OpenID provider of the settings: to it, and back."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node.console.access.failed_logins import Failure
from dicom_node.console.access.login_limit import network_of
from dicom_node.console.access.openid import PENDING_SECONDS, OpenIdProvider, Pending
from dicom_node.console.access.outside import OutsideUser
from dicom_node.console.context import Console, address_of, console_of
from dicom_node.console.language.translation import _
from dicom_node.console.pages.login import enter_from_outside, login_form
from dicom_node.errors import NodeError

CALLBACK = "/login/openid/callback"


def begin(request: Request) -> Response:
    """Send the browser to the provider; it keeps what belongs to this login."""
    console, provider = console_of(request), _provider(request)
    if wait := console.api_limits.outside.wait_seconds(network_of(address_of(request))):
        text = _("Too many tries: wait {n} seconds.", n=f"{wait:.0f}")
        return login_form(request, fault=text, status=429)
    pending = Pending.begun(request.query_params.get("next", ""))
    try:
        response = RedirectResponse(provider.address(pending, _redirect_uri(request)), 303)
    except NodeError as fault:
        return _failed(request, fault)
    response.set_cookie(
        _cookie(console),
        pending.as_cookie(),
        max_age=PENDING_SECONDS,
        path="/",
        secure=console.is_secure,
        httponly=True,
        samesite="lax",  # the provider leads back here
    )
    return response


def callback(request: Request) -> Response:
    """Open a session for whom the provider has logged in."""
    console, provider = console_of(request), _provider(request)
    try:
        pending = Pending.of_cookie(request.cookies.get(_cookie(console), ""))
        who = provider.user(pending, _redirect_uri(request), dict(request.query_params))
    except NodeError as fault:
        response = _failed(request, fault)
    else:
        response = _entered(request, who, pending.target)
    response.delete_cookie(_cookie(console), path="/", secure=console.is_secure, httponly=True)
    return response


def _entered(request: Request, who: OutsideUser, target: str) -> Response:
    try:
        return enter_from_outside(request, who, target)
    except NodeError as fault:
        return _failed(request, fault, who.name)


def _provider(request: Request) -> OpenIdProvider:
    settings = console_of(request).settings().console
    if not settings.oidc_issuer:
        raise HTTPException(404, "no OpenID provider is set")
    return OpenIdProvider(settings=settings)


def _failed(request: Request, fault: NodeError, user: str = "") -> Response:
    console = console_of(request)
    if not console.api_limits.refused.wait_seconds(network_of(address_of(request))):
        console.note_failure(request, Failure.SINGLE_SIGN_ON, user)
    return login_form(request, fault=_("Single sign-on failed: {why}.", why=str(fault)), status=403)


def _redirect_uri(request: Request) -> str:
    """Address to which the provider leads back: by the name that was called, which was checked."""
    scheme = "https" if console_of(request).is_secure else "http"
    return f"{scheme}://{request.headers['host']}{CALLBACK}"


def _cookie(console: Console) -> str:
    """Name of the cookie that holds a login that was begun."""
    return "__Host-openid" if console.is_secure else "openid"


ROUTES = [Route("/login/openid", begin), Route(CALLBACK, callback)]
