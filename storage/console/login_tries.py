"""Tries to log in: how often was tried by a key, and which logins have failed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from storage.database.console_tables import ConsoleFailedLogin, ConsoleTries

MOST_KEYS = 10_000  #: by which tries are remembered: those tried most
ONE_ROW = timedelta(hours=1)  #: in which failed logins of a kind share a row
KEPT = timedelta(days=90)  #: that failed logins are kept
MOST_FAILED = 10_000  #: rows of failed logins that are kept


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


def tries_by(session: Session, keys: Collection[str]) -> list[Tries]:
    """Read the tries by some keys; a key by which nobody has tried is left out."""
    row = ConsoleTries
    found = session.execute(select(row.count, row.last_at).where(row.key.in_(_digests(keys))))
    return [Tries(count=count, last_at=last_at) for count, last_at in found]


def lock_tries(session: Session, keys: Collection[str], now: datetime) -> list[Tries]:
    """Read the tries by some keys; nobody else does until the end of the transaction.

    A key by which nobody has tried gets a row with none; all are inserted and locked at once, for
    a row that was only looked for could be gone.
    """
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = postgresql.insert if is_postgresql else sqlite.insert
    row = ConsoleTries
    values = [{"key": digest, "count": 0, "last_at": now} for digest in _digests(keys)]
    found = session.execute(
        insert(row)
        .values(values)
        .on_conflict_do_update(index_elements=[row.key], set_={"count": row.count})
        .returning(row.count, row.last_at)
    )
    return [Tries(count=count, last_at=last_at) for count, last_at in found]


def count_try(session: Session, keys: Collection[str], now: datetime) -> None:
    """Count a try by keys that `lock_tries` has locked."""
    counted = update(ConsoleTries).where(ConsoleTries.key.in_(_digests(keys)))
    session.execute(counted.values(count=ConsoleTries.count + 1, last_at=now))


def take_back_try(session: Session, keys: Collection[str]) -> None:
    """Count a try by some keys no more: no password was looked at."""
    counted = update(ConsoleTries).where(
        ConsoleTries.key.in_(_digests(keys)), ConsoleTries.count > 0
    )
    session.execute(counted.values(count=ConsoleTries.count - 1))


def forget_tries_by(session: Session, keys: Collection[str]) -> None:
    """Forget the tries by some keys."""
    session.execute(delete(ConsoleTries).where(ConsoleTries.key.in_(_digests(keys))))


def forget_tries(session: Session, before: datetime) -> None:
    """Forget the tries by keys not tried since a time, and of too many keys those tried least.

    The oldest of too many would be the one that somebody has to wait for, who meanwhile tries
    others.
    """
    most_first = ConsoleTries.count.desc(), ConsoleTries.last_at.desc(), ConsoleTries.key
    too_many = select(ConsoleTries.key).order_by(*most_first).offset(MOST_KEYS)
    old = or_(ConsoleTries.last_at < before, ConsoleTries.key.in_(too_many))
    unlocked = select(ConsoleTries.key).where(old).with_for_update(skip_locked=True)
    keys = session.scalars(unlocked).all()
    if keys:
        session.execute(delete(ConsoleTries).where(ConsoleTries.key.in_(keys)))


def record_failed_login(
    session: Session,
    now: datetime,
    *,
    user: str,
    address: str,
    reason: str,
    first_forgotten: str = "",
) -> None:
    """Record that a login has failed; too many, and those of long ago, are forgotten.

    Parameters
    ----------
    first_forgotten
        Reason of which rows are the first that are too many.
    """
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
    kept_first = ConsoleFailedLogin.reason == first_forgotten, ConsoleFailedLogin.id.desc()
    too_many = select(ConsoleFailedLogin.id).order_by(*kept_first).offset(MOST_FAILED)
    session.execute(delete(ConsoleFailedLogin).where(ConsoleFailedLogin.id.in_(too_many)))
    forget_failed_logins(session, now)


def forget_failed_logins(session: Session, now: datetime) -> None:
    """Forget the failed logins of long ago."""
    session.execute(delete(ConsoleFailedLogin).where(ConsoleFailedLogin.last_at < now - KEPT))


def failed_logins(session: Session, limit: int, now: datetime) -> list[FailedLogins]:
    """List failed logins but those of long ago, the latest first."""
    row = ConsoleFailedLogin
    latest = select(row).where(row.last_at >= now - KEPT)
    return [
        FailedLogins(
            user=one.user,
            address=one.address,
            reason=one.reason,
            count=one.count,
            first_at=one.first_at,
            last_at=one.last_at,
        )
        for one in session.scalars(latest.order_by(row.last_at.desc(), row.id.desc()).limit(limit))
    ]


def _digests(keys: Collection[str]) -> list[str]:
    """Digests of keys, in the order in which everybody locks their rows."""
    return sorted(hashlib.sha256(key.encode()).hexdigest() for key in keys)
