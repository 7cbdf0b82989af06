"""Tokens of programs that ask the API of the console."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from storage.database.console_tables import ConsoleToken
from storage.errors import StorageError

USED_EVERY = timedelta(minutes=1)  #: a request writes no row more often


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token, by its digest; attributes as in `ConsoleToken`."""

    name: str
    role: str
    digest: str
    created_at: datetime
    expires_at: datetime
    created_by: str
    used_at: datetime | None = None


def add_token(session: Session, token: Token) -> None:
    """Keep the digest of a new token.

    Raises
    ------
    StorageError
        If there is one of this name.
    """
    if session.get(ConsoleToken, token.name) is not None:
        raise StorageError(f"expected a new name, there is a token {token.name}")
    session.add(
        ConsoleToken(
            name=token.name,
            role=token.role,
            digest=token.digest,
            created_at=token.created_at,
            expires_at=token.expires_at,
            created_by=token.created_by,
            used_at=token.used_at,
        )
    )
    session.flush()


def find_token(session: Session, digest: str, now: datetime) -> Token | None:
    """Find a token by its digest; None if there is none, or it has expired."""
    row = session.scalars(
        select(ConsoleToken).where(ConsoleToken.digest == digest, ConsoleToken.expires_at > now)
    ).one_or_none()
    return None if row is None else _token(row)


def list_tokens(session: Session) -> list[Token]:
    """List all tokens, by name."""
    return [
        _token(row) for row in session.scalars(select(ConsoleToken).order_by(ConsoleToken.name))
    ]


def note_use(session: Session, digest: str, now: datetime) -> None:
    """Note that a token was used."""
    session.execute(update(ConsoleToken).where(ConsoleToken.digest == digest).values(used_at=now))


def revoke_token(session: Session, name: str) -> Token:
    """Remove a token: it is worth nothing any more.

    Raises
    ------
    StorageError
        If there is none of this name.
    """
    row = session.get(ConsoleToken, name)
    if row is None:
        raise StorageError(f"expected a token, there is none named {name}")
    token = _token(row)
    session.delete(row)
    session.flush()
    return token


def _token(row: ConsoleToken) -> Token:
    return Token(
        name=row.name,
        role=row.role,
        digest=row.digest,
        created_at=row.created_at,
        expires_at=row.expires_at,
        created_by=row.created_by,
        used_at=row.used_at,
    )
