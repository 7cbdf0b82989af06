"""Users of the console, and the sessions that they have open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from storage.database.console_tables import ConsoleSession, ConsoleUser
from storage.errors import StorageError

IDLE = timedelta(minutes=30)  #: a session ends so long after its last request
LONGEST = timedelta(hours=12)  #: ... and so long after it was opened: a working day
SEEN_EVERY = timedelta(minutes=1)  #: a request writes no row more often


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may log in; attributes as in `ConsoleUser`."""

    name: str
    role: str
    password: str
    created_at: datetime
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A session that is open; attributes as in `ConsoleSession`."""

    digest: str
    user: str
    role: str
    form_token: str
    opened_at: datetime
    seen_at: datetime
    address: str
    browser: str


def add_user(session: Session, user: User) -> None:
    """Add a user.

    Raises
    ------
    StorageError
        If there is one of this name.
    """
    if session.get(ConsoleUser, user.name) is not None:
        raise StorageError(f"expected a new name, there is a user {user.name}")
    session.add(
        ConsoleUser(
            name=user.name,
            role=user.role,
            password=user.password,
            created_at=user.created_at,
            disabled=user.disabled,
        )
    )
    session.flush()


def find_user(session: Session, name: str) -> User | None:
    """Find a user by name; None if there is none."""
    row = session.get(ConsoleUser, name, populate_existing=True)
    return None if row is None else _user(row)


def list_users(session: Session) -> list[User]:
    """List all users, by name."""
    return [_user(row) for row in session.scalars(select(ConsoleUser).order_by(ConsoleUser.name))]


def change_user(
    session: Session,
    name: str,
    *,
    role: str | None = None,
    password: str | None = None,
    disabled: bool | None = None,
) -> None:
    """Change a user; all sessions of the user end.

    Raises
    ------
    StorageError
        If there is no such user.
    """
    row = session.get(ConsoleUser, name, with_for_update=True, populate_existing=True)
    if row is None:
        raise StorageError(f"expected a user, there is none named {name}")
    row.role = row.role if role is None else role
    row.password = row.password if password is None else password
    row.disabled = row.disabled if disabled is None else disabled
    close_sessions_of(session, name)
    session.flush()


def lock_enabled(session: Session, role: str) -> None:
    """Keep others from changing the users of a role who may log in, until the transaction ends.

    Two changes at the same time are one after the other by it: the second sees the first.
    """
    query = select(ConsoleUser.name).where(ConsoleUser.role == role, ~ConsoleUser.disabled)
    session.scalars(query.order_by(ConsoleUser.name).with_for_update()).all()


def count_enabled(session: Session, role: str) -> int:
    """Count the users of a role who may log in."""
    query = select(func.count()).where(ConsoleUser.role == role, ~ConsoleUser.disabled)
    return session.scalar(query) or 0


def open_session(session: Session, opened: OpenSession) -> None:
    """Keep a session that a user has opened."""
    session.add(
        ConsoleSession(
            digest=opened.digest,
            user=opened.user,
            form_token=opened.form_token,
            opened_at=opened.opened_at,
            seen_at=opened.seen_at,
            address=opened.address,
            browser=opened.browser,
        )
    )
    session.flush()


def find_session(session: Session, digest: str, now: datetime) -> OpenSession | None:
    """Find a session that is open still, of a user who may log in."""
    found = session.execute(
        select(ConsoleSession, ConsoleUser.role)
        .join(ConsoleUser, ConsoleUser.name == ConsoleSession.user)
        .where(ConsoleSession.digest == digest, ~ConsoleUser.disabled)
    ).one_or_none()
    if found is None:
        return None
    row, role = found
    is_open = now - row.seen_at < IDLE and now - row.opened_at < LONGEST
    return _opened(row, role) if is_open else None


def note_request(session: Session, digest: str, now: datetime) -> None:
    """Note that a session has made a request."""
    session.execute(
        update(ConsoleSession).where(ConsoleSession.digest == digest).values(seen_at=now)
    )


def list_sessions(session: Session, now: datetime) -> list[OpenSession]:
    """List the sessions that are open, those seen last first."""
    rows = session.execute(
        select(ConsoleSession, ConsoleUser.role)
        .join(ConsoleUser, ConsoleUser.name == ConsoleSession.user)
        .where(ConsoleSession.seen_at > now - IDLE, ConsoleSession.opened_at > now - LONGEST)
        .order_by(ConsoleSession.seen_at.desc())
    )
    return [_opened(row, role) for row, role in rows]


def close_session(session: Session, digest: str) -> None:
    """End a session: its token is worth nothing any more."""
    session.execute(delete(ConsoleSession).where(ConsoleSession.digest == digest))


def close_sessions_of(session: Session, user: str) -> None:
    """End all sessions of a user."""
    session.execute(delete(ConsoleSession).where(ConsoleSession.user == user))


def forget_ended(session: Session, now: datetime) -> None:
    """Remove the rows of sessions that have ended by themselves."""
    session.execute(
        delete(ConsoleSession).where(
            (ConsoleSession.seen_at <= now - IDLE) | (ConsoleSession.opened_at <= now - LONGEST)
        )
    )


def _user(row: ConsoleUser) -> User:
    return User(
        name=row.name,
        role=row.role,
        password=row.password,
        created_at=row.created_at,
        disabled=row.disabled,
    )


def _opened(row: ConsoleSession, role: str) -> OpenSession:
    return OpenSession(
        digest=row.digest,
        user=row.user,
        role=role,
        form_token=row.form_token,
        opened_at=row.opened_at,
        seen_at=row.seen_at,
        address=row.address,
        browser=row.browser,
    )
