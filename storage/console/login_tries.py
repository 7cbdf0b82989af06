"""Tries to log in: how often was tried by a key, and which logins have failed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from storage.database.console_tables import ConsoleFailedLogin, ConsoleTries

MOST_KEYS = 10_000  #: by which tries are remembered: the latest
ONE_ROW = timedelta(hours=1)  #: in which failed logins of a kind share a row
KEPT = timedelta(days=90)  #: that failed logins are kept
MOST_FAILED = 10_000  #: rows of failed logins that are kept: the latest


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """Tries by one key, since the latest that succeeded."""

    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedLogins:
    """Failed logins that share a row; attributes as in `ConsoleFailedLogin`."""

    user: str
    address: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime


def tries_by(session: Session, keys: Collection[str], now: datetime) -> dict[str, Tries]:
    """Read the tries by each of some keys; nobody else does until the end of the transaction."""
    key_of = {_digest(key): key for key in keys}
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = postgresql.insert if is_postgresql else sqlite.insert
    rows = [{"key": digest, "count": 0, "last_at": now} for digest in sorted(key_of)]
    session.execute(insert(ConsoleTries).values(rows).on_conflict_do_nothing())
    found = session.scalars(
        select(ConsoleTries)
        .where(ConsoleTries.key.in_(key_of))
        .order_by(ConsoleTries.key)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {key_of[row.key]: Tries(count=row.count, last_at=row.last_at) for row in found}


def record_tries(session: Session, counts: Mapping[str, int], now: datetime) -> None:
    """Record how often was tried by keys of which `tries_by` was asked."""
    for key, count in counts.items():
        session.merge(ConsoleTries(key=_digest(key), count=count, last_at=now))
    session.flush()


def forget_tries(session: Session, before: datetime) -> None:
    """Forget the tries by keys not tried since a time, and by the oldest of too many keys."""
    latest_first = ConsoleTries.last_at.desc(), ConsoleTries.key
    too_many = select(ConsoleTries.key).order_by(*latest_first).offset(MOST_KEYS)
    old = or_(ConsoleTries.last_at < before, ConsoleTries.key.in_(too_many))
    unlocked = select(ConsoleTries.key).where(old).with_for_update(skip_locked=True)
    keys = session.scalars(unlocked).all()
    if keys:
        session.execute(delete(ConsoleTries).where(ConsoleTries.key.in_(keys)))


def record_failed_login(
    session: Session, now: datetime, *, user: str, address: str, reason: str
) -> None:
    """Record that a login has failed; too many, and those of long ago, are forgotten."""
    row = session.scalar(
        select(ConsoleFailedLogin)
        .where(
            ConsoleFailedLogin.last_at > now - ONE_ROW,
            ConsoleFailedLogin.first_at > now - ONE_ROW,
            ConsoleFailedLogin.user == user,
            ConsoleFailedLogin.address == address,
            ConsoleFailedLogin.reason == reason,
        )
        .limit(1)
        .with_for_update()
    )
    if row is None:
        row = ConsoleFailedLogin(
            user=user, address=address, reason=reason, count=0, first_at=now, last_at=now
        )
        session.add(row)
    row.count, row.last_at = row.count + 1, now
    session.flush()
    too_many = select(ConsoleFailedLogin.id).order_by(ConsoleFailedLogin.id.desc())
    session.execute(
        delete(ConsoleFailedLogin).where(
            or_(
                ConsoleFailedLogin.last_at < now - KEPT,
                ConsoleFailedLogin.id.in_(too_many.offset(MOST_FAILED)),
            )
        )
    )


def failed_logins(session: Session, limit: int) -> list[FailedLogins]:
    """List failed logins, the latest first."""
    row = ConsoleFailedLogin
    return [
        FailedLogins(
            user=one.user,
            address=one.address,
            reason=one.reason,
            count=one.count,
            first_at=one.first_at,
            last_at=one.last_at,
        )
        for one in session.scalars(
            select(row).order_by(row.last_at.desc(), row.id.desc()).limit(limit)
        )
    ]


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
