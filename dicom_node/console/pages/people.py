"""Pages of the users, their roles, and the record of changes; for administrators."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dicom_node.console.access.passwords import hashed
from dicom_node.console.access.people import Role, user_name
from dicom_node.console.context import console_of, for_role, form_of, post
from dicom_node.console.language.translation import _
from dicom_node.errors import NodeError
from storage.console.changes import Change, latest_changes, record_change
from storage.console.login_tries import failed_logins
from storage.console.users import (
    User,
    add_user,
    change_user,
    count_enabled,
    find_user,
    list_sessions,
    list_users,
    lock_enabled,
)
from storage.database.sessions import Session
from storage.errors import StorageError

CHANGES_SHOWN, FAILED_SHOWN = 200, 50


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
            record_change(session, console.change(request, "add user", user.name, after=user.role))
    except (NodeError, StorageError, ValueError) as fault:
        return _people(request, fault=str(fault), status=400)
    return RedirectResponse("/people", 303)


@for_role(Role.ADMIN)
def change_person(request: Request) -> Response:
    """Change the role of a user, or disable or enable one; the last administrator stays."""
    console, form = console_of(request), form_of(request)
    name, disabled = form.get("name", ""), form.get("disabled", "no") == "yes"
    try:
        role = Role(form.get("role", ""))
    except ValueError:
        return _people(request, fault=_("There is no such role."), status=400)
    before = form.get("before", "")
    after = _described(role, disabled=disabled)
    change = console.change(request, "change user", name, before=before, after=after)
    try:
        with console.sessions.begin() as session:
            _change(session, role, change, disabled=disabled)
    except _Refused as refusal:
        return _people(request, fault=str(refusal), status=409)
    return RedirectResponse("/people", 303)


def _change(session: Session, role: Role, change: Change, *, disabled: bool) -> None:
    """Change a user as a form says that was made of what the user was before.

    Raises
    ------
    _Refused
        If somebody else was quicker, or no administrator would be left.
    """
    lock_enabled(session, Role.ADMIN)
    user = find_user(session, change.subject)
    if user is None or _described(user.role, disabled=user.disabled) != change.before:
        raise _Refused(_("Somebody else has changed this user."))
    change_user(session, user.name, role=role, disabled=disabled)
    if not count_enabled(session, Role.ADMIN):
        raise _Refused(_("The last administrator stays."))
    record_change(session, change)


class _Refused(Exception):
    """A change is not made; the message says why."""


def _described(role: str, *, disabled: bool) -> str:
    return f"{role}, disabled" if disabled else role


def _people(request: Request, *, fault: str = "", status: int = 200) -> Response:
    console, now = console_of(request), console_of(request).clock()
    with console.sessions.reading() as session:
        values = {
            "users": list_users(session),
            "opened": list_sessions(session, now),
            "failed": failed_logins(session, FAILED_SHOWN, now),
            "changes": latest_changes(session, CHANGES_SHOWN),
        }
    return console.page(request, "people.html", status, fault=fault, roles=list(Role), **values)


ROUTES = [
    Route("/people", people),
    post("/people/add", add_person),
    post("/people/change", change_person),
]
