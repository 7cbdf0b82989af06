"""Log in and out; see and end sessions; change the password."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node.console.access.failed_logins import Failure
from dicom_node.console.access.guard import new_token, token_digest
from dicom_node.console.access.login_limit import Try, network_of, try_of
from dicom_node.console.access.outside import NO_PASSWORD, OutsideUser, enter
from dicom_node.console.access.passwords import hashed, is_password
from dicom_node.console.access.people import NAME, Role
from dicom_node.console.context import (
    Console,
    address_of,
    console_of,
    for_role,
    form_of,
    post,
    user_of,
)
from dicom_node.console.language.translation import COOKIE, NAMES, _, mark
from dicom_node.errors import Busy, NodeError
from storage.console.changes import LOGIN, Change, login_places, record_change
from storage.console.users import (
    LONGEST,
    OpenSession,
    User,
    change_user,
    close_session,
    find_user,
    forget_ended,
    list_sessions,
    open_session,
)

WRONG = mark("Name or password are wrong.")
MAXIMUM_BROWSER = 200  #: characters of the name of a browser that are kept
CHANGES_SHOWN = 200
LANGUAGE_SECONDS = 365 * 86_400  #: that a choice of a language is kept
REMEMBERED = timedelta(days=90)  #: in which a user has logged in from an address


def login_page(request: Request) -> Response:
    """Show the form; somebody who has logged in, here or at a trusted proxy, goes on."""
    console, target = console_of(request), request.query_params.get("next", "")
    if console.who(request) is not None:
        return RedirectResponse(_target(target), 303)
    outside = None
    try:
        outside = console.outside_user(request)
        return (
            enter_from_outside(request, outside, target)
            if outside
            else login_form(request, next_page=target)
        )
    except NodeError as refusal:
        console.note_failure(request, Failure.PROXY, outside.name if outside else "")
        raise HTTPException(403, str(refusal)) from refusal


def enter_from_outside(request: Request, who: OutsideUser, target: str) -> Response:
    """Open a session for a user whom somebody else has logged in.

    Raises
    ------
    NodeError
        If the user may not come in.
    """
    console = console_of(request)
    with console.sessions.begin() as session:
        user = enter(session, who, console.settings().console.group_roles, console.clock())
    token = _open(console, user, request)
    if token is None:
        raise NodeError(f"{who.name} was disabled at this moment")
    return _with_session(console, token, target)


def login(request: Request) -> Response:
    """Check name and password, and open a session with a new token."""
    console, form = console_of(request), form_of(request)
    name, address = form.get("name", "").strip().lower()[:64], address_of(request)
    with console.sessions.reading() as session:
        user = find_user(session, name) if NAME.fullmatch(name) else None
        places = login_places(session, user.name, console.clock() - REMEMBERED) if user else []
    place = network_of(address)
    one_try = try_of(name, place, is_known_there=place in set(map(network_of, places)))
    if wait := console.limit.begin(one_try):
        text = _("Too many tries: wait {n} seconds.", n=f"{ceil(wait)}")
        return login_form(
            request, name=name, fault=text, next_page=form.get("next", ""), status=429
        )
    why_not = _why_not(user)
    is_right = _is_password(console, one_try, form.get("password", ""), user)
    token = _open(console, user, request) if user and is_right and not why_not else None
    if token is None:
        console.note_failure(request, why_not or Failure.PASSWORD, user.name if user else "")
        return login_form(
            request, name=name, fault=_(WRONG), next_page=form.get("next", ""), status=401
        )
    console.limit.succeeded(one_try)
    return _with_session(console, token, form.get("next", ""))


def _is_password(console: Console, one_try: Try, password: str, user: User | None) -> bool:
    """Check the password of a try that was counted.

    Raises
    ------
    Busy
        If too many others are being checked: the try is counted no more.
    """
    try:
        return is_password(password, user.password if user else None)
    except Busy:
        console.limit.take_back(one_try)
        raise


def _why_not(user: User | None) -> Failure | None:
    """Say why nobody can log in as a user, whatever the password; None if one can."""
    if user is None:
        return Failure.UNKNOWN
    if user.disabled:
        return Failure.DISABLED
    return Failure.OUTSIDE if user.password == NO_PASSWORD else None


def _with_session(console: Console, token: str, target: str) -> Response:
    """Go on to a page, with the cookie of a session."""
    response = RedirectResponse(_target(target), 303)
    response.set_cookie(
        console.cookie,
        token,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=console.is_secure,
        httponly=True,
        samesite="lax",  # a link of a PACS leads to a page; changes need a token besides
    )
    return response


def _open(console: Console, user: User, request: Request) -> str | None:
    """Open a session; what the browser had before is worth nothing (no fixation).

    None if the user has another password by now, or was disabled.
    """
    token, now = new_token(), console.clock()
    opened = OpenSession(
        digest=token_digest(token),
        user=user.name,
        role=user.role,
        form_token=new_token(),
        opened_at=now,
        seen_at=now,
        address=address_of(request),
        browser=request.headers.get("user-agent", "")[:MAXIMUM_BROWSER],
    )
    old = request.cookies.get(console.cookie, "")
    with console.sessions.begin() as session:
        current = find_user(session, user.name)
        if current is None or current.disabled or current.password != user.password:
            return None
        forget_ended(session, now)
        if old:
            close_session(session, token_digest(old))
        open_session(session, opened)
        record_change(session, Change(at=now, user=user.name, action=LOGIN, subject=opened.address))
    return token


@for_role(Role.VIEWER)
def logout(request: Request) -> Response:
    """End the session."""
    console = console_of(request)
    with console.sessions.begin() as session:
        close_session(session, user_of(request).digest)
    console.record(request, "logout", user_of(request).address)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(console.cookie, path="/", secure=console.is_secure, httponly=True)
    return response


@for_role(Role.VIEWER)
def account(request: Request) -> Response:
    """Show one's own sessions, and the form for a new password."""
    return _account(request)


@for_role(Role.VIEWER)
def change_password(request: Request) -> Response:
    """Set one's own password; all one's sessions end."""
    console, form, name = console_of(request), form_of(request), user_of(request).user
    one_try = Try(keys=(f"password {name}",))
    if console.limit.begin(one_try):
        return _account(request, fault=_("Too many tries: wait a while."), status=429)
    with console.sessions.reading() as session:
        user = find_user(session, name)
    if not _is_password(console, one_try, form.get("old", ""), user):
        console.note_failure(request, Failure.CHANGE, name)
        return _account(request, fault=_("The present password is wrong."), status=403)
    console.limit.succeeded(one_try)
    if form.get("new") != form.get("again"):
        return _account(request, fault=_("The two new passwords differ."), status=400)
    try:
        password = hashed(form.get("new", ""))
    except NodeError as fault:
        return _account(request, fault=str(fault), status=400)
    with console.sessions.begin() as session:
        change_user(session, name, password=password)
        record_change(session, console.change(request, "password", name))
    return RedirectResponse("/login", 303)


@for_role(Role.VIEWER)
def choose_language(request: Request) -> Response:
    """Keep the language that the user of a browser chooses; none lets the browser ask."""
    console, chosen = console_of(request), form_of(request).get("language", "")
    response = RedirectResponse("/account", 303)
    if chosen in NAMES:
        response.set_cookie(
            COOKIE,
            chosen,
            max_age=LANGUAGE_SECONDS,
            secure=console.is_secure,
            httponly=True,
            samesite="lax",
        )
    else:
        response.delete_cookie(COOKIE, secure=console.is_secure, httponly=True)
    return response


@for_role(Role.VIEWER)
def end_session(request: Request) -> Response:
    """End a session: one's own, or anybody's for an administrator."""
    console, who = console_of(request), user_of(request)
    digest = form_of(request).get("session", "")
    with console.sessions.reading() as session:
        known = {one.digest: one for one in list_sessions(session, console.clock())}
    found = known.get(digest)
    if found is None or (found.user != who.user and Role(who.role) is not Role.ADMIN):
        raise HTTPException(404, "there is no such session of yours")
    with console.sessions.begin() as session:
        close_session(session, digest)
    console.record(request, "end session", found.user)
    return RedirectResponse("/people" if found.user != who.user else "/account", 303)


def login_form(
    request: Request, *, name: str = "", fault: str = "", next_page: str = "", status: int = 200
) -> Response:
    """Show the form of the login, with what went wrong."""
    request.state.who = None
    has_provider = bool(console_of(request).settings().console.oidc_issuer)
    values = {"name": name, "fault": fault, "next_page": next_page, "has_provider": has_provider}
    return console_of(request).page(request, "login.html", status, **values)


def _account(request: Request, *, fault: str = "", status: int = 200) -> Response:
    console, who = console_of(request), user_of(request)
    with console.sessions.reading() as session:
        opened = list_sessions(session, console.clock())
    mine = [one for one in opened if one.user == who.user]
    return console.page(
        request,
        "account.html",
        status,
        mine=mine,
        fault=fault,
        languages={"": "", **NAMES},
        chosen_language=request.cookies.get(COOKIE, ""),
    )


def _target(text: str) -> str:
    """Where to go after the login: a path of ours, never another host."""
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_ours else "/"


ROUTES = [
    Route("/login", login_page),
    post("/login", login),
    post("/logout", logout),
    Route("/account", account),
    post("/account/password", change_password),
    post("/account/end-session", end_session),
    post("/account/language", choose_language),
]
