"""Log in and out; see and end sessions; users."""

from __future__ import annotations

from typing import cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node.console.access.guard import new_token, token_digest
from dicom_node.console.access.passwords import hashed, is_password
from dicom_node.console.access.people import Role, user_name
from dicom_node.console.context import Console, console_of, for_role, form_of, post, user_of
from dicom_node.errors import NodeError
from dicom_node.logs import log
from storage.console.changes import Change, latest_changes, record_change
from storage.console.users import (
    LONGEST,
    OpenSession,
    User,
    add_user,
    change_user,
    close_session,
    count_enabled,
    find_user,
    forget_ended,
    list_sessions,
    list_users,
    open_session,
)
from storage.errors import StorageError

WRONG = "Name or password are wrong."
MAXIMUM_BROWSER = 200  #: characters of the name of a browser that are kept
CHANGES_SHOWN = 200


def login_page(request: Request) -> Response:
    """Show the form; somebody who has logged in goes on."""
    console = console_of(request)
    if console.who(request) is not None:
        return RedirectResponse(_target(request.query_params.get("next", "")), 303)
    return _form(request, next_page=request.query_params.get("next", ""))


def login(request: Request) -> Response:
    """Check name and password, and open a session with a new token."""
    console, form = console_of(request), form_of(request)
    name, address = form.get("name", "").strip().lower()[:64], _address(request)
    keys = (f"user {name}", f"address {address}")
    wait = console.limit.wait_seconds(*keys)
    if wait > 0:
        text = f"Too many tries: wait {wait:.0f} seconds."
        return _form(request, name=name, fault=text, next_page=form.get("next", ""), status=429)
    with console.sessions.reading() as session:
        user = find_user(session, name)
    usable = user is not None and not user.disabled
    if not is_password(form.get("password", ""), user.password if user and usable else None):
        console.limit.failed(*keys)
        log.warning("console_login_failed", host=address)
        return _form(request, name=name, fault=WRONG, next_page=form.get("next", ""), status=401)
    console.limit.succeeded(keys[0])
    token = _open(console, cast(User, user), request)
    response = RedirectResponse(_target(form.get("next", "")), 303)
    response.set_cookie(
        console.cookie,
        token,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=console.is_secure,
        httponly=True,
        samesite="strict",
    )
    return response


def _open(console: Console, user: User, request: Request) -> str:
    """Open a session; what the browser had before is worth nothing (no fixation)."""
    token, now = new_token(), console.clock()
    opened = OpenSession(
        digest=token_digest(token),
        user=user.name,
        role=user.role,
        form_token=new_token(),
        opened_at=now,
        seen_at=now,
        address=_address(request),
        browser=request.headers.get("user-agent", "")[:MAXIMUM_BROWSER],
    )
    old = request.cookies.get(console.cookie, "")
    with console.sessions.begin() as session:
        forget_ended(session, now)
        if old:
            close_session(session, token_digest(old))
        open_session(session, opened)
        record_change(
            session, Change(at=now, user=user.name, action="login", subject=opened.address)
        )
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
    with console.sessions.reading() as session:
        user = find_user(session, name)
    if not is_password(form.get("old", ""), user.password if user else None):
        return _account(request, fault="The present password is wrong.", status=403)
    if form.get("new") != form.get("again"):
        return _account(request, fault="The two new passwords differ.", status=400)
    try:
        password = hashed(form.get("new", ""))
    except NodeError as fault:
        return _account(request, fault=str(fault), status=400)
    with console.sessions.begin() as session:
        change_user(session, name, password=password)
    console.record(request, "password", name)
    return RedirectResponse("/login", 303)


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


@for_role(Role.ADMIN)
def people(request: Request) -> Response:
    """Show users, their sessions, and what was changed."""
    return _people(request)


@for_role(Role.ADMIN)
def add_person(request: Request) -> Response:
    """Add a user."""
    console, form = console_of(request), form_of(request)
    try:
        user = User(
            name=user_name(form.get("name", "")),
            role=Role(form.get("role", "")),
            password=hashed(form.get("password", "")),
            created_at=console.clock(),
        )
        with console.sessions.begin() as session:
            add_user(session, user)
    except (NodeError, StorageError, ValueError) as fault:
        return _people(request, fault=str(fault), status=400)
    console.record(request, "add user", user.name, after=user.role)
    return RedirectResponse("/people", 303)


@for_role(Role.ADMIN)
def change_person(request: Request) -> Response:
    """Change the role of a user, or disable or enable one; the last administrator stays."""
    console, form = console_of(request), form_of(request)
    name = form.get("name", "")
    with console.sessions.reading() as session:
        user = find_user(session, name)
        administrators = count_enabled(session, Role.ADMIN)
    if user is None:
        raise HTTPException(404, "there is no such user")
    try:
        role = Role(form.get("role", user.role))
    except ValueError:
        return _people(request, fault="There is no such role.", status=400)
    disabled = form.get("disabled", "no") == "yes"
    loses = user.role == Role.ADMIN and not user.disabled and (disabled or role is not Role.ADMIN)
    if loses and administrators == 1:
        return _people(request, fault="The last administrator stays.", status=409)
    with console.sessions.begin() as session:
        change_user(session, name, role=role, disabled=disabled)
    console.record(
        request,
        "change user",
        name,
        before=_described(user.role, disabled=user.disabled),
        after=_described(role, disabled=disabled),
    )
    return RedirectResponse("/people", 303)


def _described(role: str, *, disabled: bool) -> str:
    return f"{role}, disabled" if disabled else role


def _form(
    request: Request, *, name: str = "", fault: str = "", next_page: str = "", status: int = 200
) -> Response:
    request.state.who = None
    values = {"name": name, "fault": fault, "next_page": next_page}
    return console_of(request).page(request, "login.html", status, **values)


def _account(request: Request, *, fault: str = "", status: int = 200) -> Response:
    console, who = console_of(request), user_of(request)
    with console.sessions.reading() as session:
        opened = list_sessions(session, console.clock())
    mine = [one for one in opened if one.user == who.user]
    return console.page(request, "account.html", status, mine=mine, fault=fault)


def _people(request: Request, *, fault: str = "", status: int = 200) -> Response:
    console = console_of(request)
    with console.sessions.reading() as session:
        values = {
            "users": list_users(session),
            "opened": list_sessions(session, console.clock()),
            "changes": latest_changes(session, CHANGES_SHOWN),
        }
    return console.page(request, "people.html", status, fault=fault, roles=list(Role), **values)


def _target(text: str) -> str:
    """Where to go after the login: a path of ours, never another host."""
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_ours else "/"


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


ROUTES = [
    Route("/login", login_page),
    post("/login", login),
    post("/logout", logout),
    Route("/account", account),
    post("/account/password", change_password),
    post("/account/end-session", end_session),
    Route("/people", people),
    post("/people/add", add_person),
    post("/people/change", change_person),
]
