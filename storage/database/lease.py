"""Lease of the database: one process works on it at a time, and claims name its number.

Who holds the lease shows it by beats. Whether a silent holder still lives is for another to judge
by its own steady clock (`dicom_node.database_lease`): no two clocks are ever compared. What makes
this safe is the fence (`storage.database.sessions`): a transaction of one who lost the lease fails.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Engine, inspect, select, sql, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.database.engine import reading
from storage.database.faults import own_errors
from storage.database.schema import Lease as Row
from storage.errors import LeaseLost, StaleState

ONLY = 1  #: key of the only row


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that works on the database; attributes as in `storage.database.schema.Lease`."""

    installation: str
    holder: str
    place: str
    folder: str
    host: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The lease as last read; attributes as in `storage.database.schema.Lease`."""

    held_by: Holder
    number: int
    since: datetime
    beats: int
    found: str

    @property
    def is_held(self) -> bool:
        """Whether nobody has let go of it yet; the holder may have died."""
        return bool(self.held_by.holder)


def read_lease(session: Session) -> Lease | None:
    """Read the lease; None if nobody has ever held it."""
    row = session.get(Row, ONLY, populate_existing=True)
    return None if row is None else _lease(row)


def lease_mark(engine: Engine) -> str:
    """Tell how far the lease has come; every run of a node leaves another mark.

    Tables of any revision will do; those from before the lease give the mark of none.

    Raises
    ------
    DatabaseUnavailable
        If the database cannot be read.
    """
    table = sql.table("lease", sql.column("number"), sql.column("beats"))
    with own_errors(), reading(engine).connect() as connection:
        known = inspect(connection).has_table(table.name)
        row = connection.execute(select(table)).one_or_none() if known else None
    return f"{row.number}.{row.beats}" if row else "0.0"


def take_lease(
    session: Session, holder: Holder, now: datetime, *, seen: Lease | None, number: int, found: str
) -> None:
    """Take the lease, if it is as it was seen.

    Parameters
    ----------
    number
        Of the lease from now on; above all that were before.
    found
        As in `storage.database.schema.Lease`.

    Raises
    ------
    StaleState
        If its holder has shown a sign of life since, or another has taken it.
    """
    row = session.get(Row, ONLY, with_for_update=True, populate_existing=True)
    if (row and _lease(row)) != seen:
        raise StaleState("expected the lease as it was seen, its holder lives or is another")
    values = {**asdict(holder), "number": number, "since": now, "beats": 0, "found": found}
    try:
        if row is None:
            session.add(Row(id=ONLY, **values))
        else:
            session.execute(update(Row).where(Row.id == ONLY).values(**values))
        session.flush()
    except IntegrityError:
        raise StaleState("another process took the lease first") from None


def renew_lease(session: Session, number: int, holder: str) -> int:
    """Show that the holder lives; return its beats.

    Raises
    ------
    LeaseLost
        If it holds the lease no more.
    """
    beats: int | None = session.scalar(
        update(Row)
        .where(Row.id == ONLY, Row.number == number, Row.holder == holder)
        .values(beats=Row.beats + 1)
        .returning(Row.beats)
    )
    if beats is None:
        raise LeaseLost(lost(session))
    return beats


def release_lease(session: Session, number: int, holder: str) -> None:
    """Let go of the lease, if it is still held."""
    session.execute(
        update(Row)
        .where(Row.id == ONLY, Row.number == number, Row.holder == holder)
        .values(holder="")
    )


def forget_finding(session: Session) -> None:
    """Forget what a start found wrong with the age of the database."""
    session.execute(update(Row).where(Row.id == ONLY).values(found=""))


def lost(session: Session) -> str:
    """Say who has taken the lease over."""
    lease = read_lease(session)
    if lease is None:
        return "the database is another one now: it knows no lease of this node"
    by = lease.held_by
    return (
        f"another node has taken the database over: {by.host}, process {by.pid}, folder {by.folder}"
    )


def _lease(row: Row) -> Lease:
    return Lease(
        held_by=Holder(
            installation=row.installation,
            holder=row.holder,
            place=row.place,
            folder=row.folder,
            host=row.host,
            pid=row.pid,
        ),
        number=row.number,
        since=row.since,
        beats=row.beats,
        found=row.found,
    )
