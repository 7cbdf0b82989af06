"""Changes made at the console: who, when, what, from what to what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from storage.database.console_tables import ConsoleChange

LOGIN = "login"  #: action of a user who has logged in; the subject is the address
MOST_PLACES = 200  #: latest logins of a user that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change; attributes as in `ConsoleChange`."""

    at: datetime
    user: str
    action: str
    subject: str
    before: str = ""
    after: str = ""


def record_change(session: Session, change: Change) -> None:
    """Record a change, in the transaction that makes it where that is ours."""
    session.add(
        ConsoleChange(
            at=change.at,
            user=change.user,
            action=change.action,
            subject=change.subject,
            before=change.before,
            after=change.after,
        )
    )
    session.flush()


def forget_changes(session: Session, before: datetime) -> None:
    """Forget the changes made before a time."""
    session.execute(delete(ConsoleChange).where(ConsoleChange.at < before))


def latest_changes(session: Session, limit: int, *, subject: str | None = None) -> list[Change]:
    """List changes, the latest first; those of one subject if it is named."""
    query = select(ConsoleChange).order_by(ConsoleChange.at.desc(), ConsoleChange.id.desc())
    if subject is not None:
        query = query.where(ConsoleChange.subject == subject)
    return [
        Change(
            at=row.at,
            user=row.user,
            action=row.action,
            subject=row.subject,
            before=row.before,
            after=row.after,
        )
        for row in session.scalars(query.limit(limit))
    ]


def login_places(session: Session, user: str, since: datetime) -> list[str]:
    """List the addresses from which a user has logged in since a time, the latest first."""
    query = (
        select(ConsoleChange.subject)
        .where(ConsoleChange.user == user, ConsoleChange.action == LOGIN, ConsoleChange.at >= since)
        .order_by(ConsoleChange.at.desc())
        .limit(MOST_PLACES)
    )
    return list(dict.fromkeys(session.scalars(query)))
