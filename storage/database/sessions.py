"""Database sessions that raise storage's own errors: nobody above needs to know SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NoReturn

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

from storage.database.engine import (
    READING,
    file_identity,
    folder_identity,
    never_make,
    removed_files,
    require_migrated,
)
from storage.database.faults import own_errors
from storage.database.lease import ONLY, lost
from storage.database.receivers import ENDED, is_entered
from storage.database.schema import Lease
from storage.errors import DatabaseUnavailable, LeaseLost

__all__ = ["Session", "Sessions", "Substitutes", "holder_of", "substitutes_of"]

Substitutes = Mapping[str, Sequence[str]]
"""Kind of result to the kinds that carry its message, the best first."""

ANOTHER_FILE = (
    "a file of the database was removed or replaced while the node ran: what it writes would be"
    " lost; files of instances are kept, and the next start takes them up again"
)
FOLDER_AWAY = "the folder of the database is away: it may be moved, or not mounted"
_SUBSTITUTES = "substitutes"
_HELD = "held"
_RECEIVER = "receiver"


class Sessions:
    """Makes sessions of one database; each is one transaction.

    Whatever raises inside one of its ``with`` blocks ends the transaction; faults of the database
    come out as `DatabaseUnavailable` (locked, full or away: another try may help) or
    `DatabaseRefused` (what was to be written does not fit). Where the lease of the database is
    held (:meth:`hold`), no transaction commits after another process has taken it: `LeaseLost`;
    nor one of a receiver (:meth:`hold_receiver`) after another has taken it for ended.

    Parameters
    ----------
    substitutes
        What stands for a result that a destination declines: a rule of the results' own, handed
        in here because storage knows no DICOM.
    """

    def __init__(self, database: Engine, *, substitutes: Substitutes | None = None) -> None:
        self._database = database
        self._info: dict[str, object] = {}
        if substitutes is not None:
            self._info[_SUBSTITUTES] = substitutes
        self._make = sessionmaker(database, class_=Session, info=self._info)
        self._when_lost: Callable[[str], object] = str
        self._file: tuple[int, int] | None = None  #: of SQLite, when the lease was taken
        self._folder: tuple[int, int] | None = None  #: of that file
        self._removed: frozenset[str] = frozenset()  #: files beside it, at the last look
        self._follows = False
        self.lost = ""  #: who has taken the lease that was held; empty while nobody has

    @property
    def url(self) -> str:
        """URL of the database, with its password if it has one: for a process of our own alone."""
        return self._database.url.render_as_string(hide_password=False)

    def hold(self, number: int, holder: str, when_lost: Callable[[str], object]) -> None:
        """Write only under a lease from now on, and let its number stand in the claims of rows.

        Parameters
        ----------
        number, holder
            As in :class:`storage.database.schema.Lease`.
        when_lost
            Called with a sentence when another process is found to have taken the lease.
        """
        self._when_lost = when_lost
        self._info[_HELD] = number, holder
        self._file = file_identity(self._database)
        self._folder = folder_identity(self._database)
        never_make(self._database)

    def beside(self) -> Sessions:
        """Make others of the same database, and its connections, that hold no lease yet."""
        others = Sessions(self._database)
        others._info |= self._info
        return others

    def hold_receiver(self, holder: str, when_lost: Callable[[str], object]) -> None:
        """Write only as a receiver that is entered, from now on.

        Parameters
        ----------
        holder
            As in :class:`storage.database.schema.Receiver`.
        when_lost
            Called with a sentence when another process is found to have taken it for ended.
        """
        self._when_lost = when_lost
        self._info[_RECEIVER] = holder

    def follow(self) -> None:
        """Work with whatever file has the name of the database, also after it was replaced.

        For a process that stays and holds no lease: SQLite would go on with a removed file.
        """
        self._follows = True
        self._file = file_identity(self._database)
        never_make(self._database)

    def _take_up_file(self) -> None:
        """Let go of the file that the database was, if it is another by now, or away.

        Raises
        ------
        DatabaseUnusable
            If the other one is of another version.
        """
        file = file_identity(self._database) if self._follows else self._file
        if file != self._file:
            self._database.dispose()
            if file is not None:
                require_migrated(self._database)
            self._file = file

    def check_file(self) -> None:
        """Check that the database is still the file that it was when the lease was taken.

        Files beside it count when two looks in a row find them removed: SQLite itself removes one
        just before it closes it.

        Raises
        ------
        DatabaseUnavailable
            If its folder is away, and it with the folder: both may come back.
        LeaseLost
            If it was removed, or another is in its place: SQLite would go on writing to it.
        """
        before, self._removed = self._removed, removed_files(self._database)
        file = file_identity(self._database)
        if file is None and folder_identity(self._database) != self._folder:
            raise DatabaseUnavailable(FOLDER_AWAY)
        if file != self._file or before & self._removed:
            self._lose(ANOTHER_FILE)

    def _lose(self, reason: str) -> NoReturn:
        self.lost = reason
        self._when_lost(reason)
        raise LeaseLost(reason)

    @contextmanager
    def __call__(self) -> Iterator[Session]:
        """Open a session that keeps nothing of what it writes unless it is told to commit."""
        self._take_up_file()
        with own_errors(), self._make() as session:
            yield session

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Open a session that commits at the end of the block."""
        self._take_up_file()
        with own_errors(), self._make.begin() as session:
            self._fence(session)
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads, and so waits for nobody who writes."""
        self._take_up_file()
        with own_errors(), self._make() as session:
            session.connection(execution_options={READING: True})
            yield session

    def _fence(self, session: Session) -> None:
        """Check that we may still write, and keep that from being taken until the commit."""
        receiver = session.info.get(_RECEIVER)
        if receiver is not None and not is_entered(session, receiver):
            self._lose(ENDED)
        held = session.info.get(_HELD)
        if held is None:
            return
        if self.lost == ANOTHER_FILE:
            raise LeaseLost(self.lost)
        row = session.execute(
            select(Lease.number, Lease.holder)
            .where(Lease.id == ONLY)
            .with_for_update(read=True, key_share=True)
        ).one_or_none()
        if row is None or tuple(row) != held:
            self._lose(lost(session))

    def close(self) -> None:
        """Let go of every connection; SQLite's database is one file then, to be copied."""
        self._database.dispose()


def substitutes_of(session: Session) -> Substitutes:
    """Find the substitutes that the session's maker was given.

    Raises
    ------
    KeyError
        If it was given none: without them a declined result would count as refused.
    """
    substitutes: Substitutes = session.info[_SUBSTITUTES]
    return substitutes


def holder_of(session: Session) -> int | None:
    """Give the number of the lease under which a session writes; None if it needs none."""
    held: tuple[int, str] | None = session.info.get(_HELD)
    return held and held[0]
