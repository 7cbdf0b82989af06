"""Users whom somebody else has logged in: a reverse proxy, or an OpenID provider.

They have rows like all others, so that sessions, roles and the record of changes are the same;
they have no password here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from starlette.datastructures import Headers

from config.network import ConsoleSettings
from dicom_node.console.access.people import Role, user_name
from dicom_node.errors import NodeError
from dicom_node.network.addresses.networks import Networks
from storage.console.changes import Change, record_change
from storage.console.users import User, add_user, change_user, find_user
from storage.database.sessions import Session

NO_PASSWORD = "outside"  # noqa: S105  # where others have a hash; no password fits
ANY_GROUP = "*"  #: of the mapping: everybody
MOST_GROUPS = 500  #: of a user


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideUser:
    """A user as told from outside: by name, with groups."""

    name: str
    groups: tuple[str, ...] = ()


def is_trusted(settings: ConsoleSettings, address: str) -> bool:
    """Say whether a connection comes from a proxy whose word counts."""
    return Networks.of(settings.trusted_proxies).include(address)


def proxied_user(settings: ConsoleSettings, address: str, headers: Headers) -> OutsideUser | None:
    """Read whom a proxy has logged in; None if it says nothing, or is not one that is trusted.

    Raises
    ------
    NodeError
        If what it says is no name, or is said twice.
    """
    if not settings.proxy_user_header or not is_trusted(settings, address):
        return None
    names = headers.getlist(settings.proxy_user_header)
    if not names:
        return None
    if len(names) > 1:  # a client may have added one, and the proxy not have taken it away
        raise NodeError("the proxy names two users: it must replace the header, not add to it")
    header = settings.proxy_groups_header
    values = headers.getlist(header) if header else []
    if len(values) > 1:
        raise NodeError("the proxy names groups twice: it must replace the header, not add to it")
    groups = [group.strip() for value in values for group in value.split(",")][:MOST_GROUPS]
    return OutsideUser(name=user_name(names[0]), groups=tuple(filter(None, groups)))


def role_of(groups: Collection[str], group_roles: Mapping[str, str]) -> Role | None:
    """Give the highest role of some groups; None if they have none."""
    named = {*groups, ANY_GROUP}
    roles = [Role(role) for group, role in group_roles.items() if group in named]
    return max(roles, key=list(Role).index, default=None)


def enter(
    session: Session, who: OutsideUser, group_roles: Mapping[str, str], now: datetime
) -> User:
    """Find the user, who is entered or changed as outside says it.

    Without roles of groups only those whom `dicom-node user add` has made may come, in their role.

    Raises
    ------
    NodeError
        If the user may not come in; the message says why.
    """
    known = find_user(session, who.name)
    if known is not None and known.disabled:
        raise NodeError(f"{who.name} is disabled here")
    if not group_roles:
        if known is None:
            raise NodeError(f"{who.name} is not a user here: an administrator can add one")
        return known
    role = role_of(who.groups, group_roles)
    if role is None:
        raise NodeError(f"{who.name} is in no group that has a role here")
    if known is None:
        known = User(name=who.name, role=role, password=NO_PASSWORD, created_at=now)
        add_user(session, known)
        _record(session, known.name, "add user", "", role, now)
    elif known.password != NO_PASSWORD:
        raise NodeError(f"{who.name} is a user of this console, with a password here")
    elif known.role != role:
        change_user(session, who.name, role=role)
        _record(session, known.name, "change user", known.role, role, now)
    return User(name=who.name, role=role, password=NO_PASSWORD, created_at=known.created_at)


def _record(
    session: Session, name: str, action: str, before: str, after: str, now: datetime
) -> None:
    change = Change(
        at=now, user="(outside)", action=action, subject=name, before=before, after=after
    )
    record_change(session, change)
