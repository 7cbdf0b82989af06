"""Receivers that share the database: each has a row, shows that it lives, and ends with the row.

Whether one that is silent still lives is for another to judge by its own steady clock; what makes
that safe is the fence (`storage.database.sessions`): without its row a receiver writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from storage.database.schema import Receiver as Row
from storage.errors import LeaseLost

ENDED = (
    "another receiver took this one for ended, for it had not shown for seconds that it lives; its"
    " next start joins them again"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A receiver as last read; attributes as in `storage.database.schema.Receiver`."""

    holder: str
    name: str
    host: str
    pid: int
    version: str
    since: datetime
    beats: int = 0
    sending: frozenset[str] = frozenset()


def enter_receiver(session: Session, receiver: Receiver) -> None:
    """Enter a receiver that begins, in place of the one of its name before."""
    session.execute(delete(Row).where(Row.name == receiver.name))
    session.add(
        Row(
            holder=receiver.holder,
            name=receiver.name,
            host=receiver.host,
            pid=receiver.pid,
            version=receiver.version,
            since=receiver.since,
        )
    )
    session.flush()


def is_entered(session: Session, holder: str) -> bool:
    """Say whether a receiver has its row, and keep the row until the end of the transaction."""
    found = select(Row.holder).where(Row.holder == holder)
    return session.scalar(found.with_for_update(read=True, key_share=True)) is not None


def show_life(session: Session, holder: str, sending: Iterable[str]) -> None:
    """Show that a receiver lives, and of which series an open association has sent some.

    A power cut may lose that: it says nothing that lasts.

    Raises
    ------
    LeaseLost
        If it has no row any more.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL synchronous_commit = off"))
    values = {"beats": Row.beats + 1, "sending": json.dumps(sorted(sending))}
    changed = update(Row).where(Row.holder == holder).values(values).returning(Row.holder)
    if session.scalar(changed) is None:
        raise LeaseLost(ENDED)


def receivers(session: Session) -> list[Receiver]:
    """List the receivers by name."""
    return [
        Receiver(
            holder=row.holder,
            name=row.name,
            host=row.host,
            pid=row.pid,
            version=row.version,
            since=row.since,
            beats=row.beats,
            sending=frozenset(json.loads(row.sending)),
        )
        for row in session.scalars(
            select(Row).order_by(Row.name).execution_options(populate_existing=True)
        )
    ]


def end_receiver(session: Session, holder: str, beats: int | None = None) -> bool:
    """Take the row of a receiver away, once what it is writing is written: it writes no more.

    Parameters
    ----------
    beats
        As they were seen: one that has shown since that it lives keeps its row.

    Returns
    -------
    bool
        Whether it was taken away.
    """
    row = delete(Row).where(Row.holder == holder).returning(Row.holder)
    if beats is not None:
        row = row.where(Row.beats == beats)
    return session.scalar(row) is not None


def end_receivers(session: Session) -> None:
    """Do so with all receivers."""
    session.execute(delete(Row))
