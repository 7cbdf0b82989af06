"""Database sessions that raise storage's own errors: nobody above needs to know SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from storage.database.engine import READING
from storage.database.faults import own_errors

__all__ = ["Session", "Sessions", "Substitutes", "substitutes_of"]

Substitutes = Mapping[str, Sequence[str]]
"""Kind of result to the kinds that carry its message, the best first."""

_SUBSTITUTES = "substitutes"


class Sessions:
    """Makes sessions of one database; each is one transaction.

    Whatever raises inside one of its ``with`` blocks ends the transaction; faults of the database
    come out as `DatabaseUnavailable` (locked, full or away: another try may help) or
    `DatabaseRefused` (what was to be written does not fit).

    Parameters
    ----------
    substitutes
        What stands for a result that a destination declines: a rule of the results' own, handed
        in here because storage knows no DICOM.
    """

    def __init__(self, database: Engine, *, substitutes: Substitutes | None = None) -> None:
        self._database = database
        info = {} if substitutes is None else {_SUBSTITUTES: substitutes}
        self._make = sessionmaker(database, class_=Session, info=info)

    @contextmanager
    def __call__(self) -> Iterator[Session]:
        """Open a session that keeps nothing of what it writes unless it is told to commit."""
        with own_errors(), self._make() as session:
            yield session

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Open a session that commits at the end of the block."""
        with own_errors(), self._make.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads, and so waits for nobody who writes."""
        with own_errors(), self._make() as session:
            session.connection(execution_options={READING: True})
            yield session

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
