"""Tables of the console: users, sessions, tokens of programs, tries to log in, changes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from storage.database.columns import Digest, Words
from storage.database.schema import Base

MAX_NAME = 64  #: characters of the name of a user
MAX_ADDRESS = 64  #: characters of a network address


class ConsoleUser(Base):
    """Somebody who may log in at the console.

    Attributes
    ----------
    role
        A word; not interpreted by storage.
    password
        Its hash, in the form of its algorithm.
    disabled
        Whether the user may not log in any more; what they did keeps their name.
    """

    __tablename__ = "console_user"

    name: Mapped[str] = mapped_column(String(MAX_NAME), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    password: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime]
    disabled: Mapped[bool] = mapped_column(default=False)


class ConsoleSession(Base):
    """A session of a user in one browser.

    Attributes
    ----------
    digest
        SHA-256 of the token that the browser holds, which is not kept.
    form_token
        To be sent back with every change.
    seen_at
        Time of its last request, to within a minute.
    address, browser
        Where it was opened.
    """

    __tablename__ = "console_session"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("console_user.name"), index=True)
    form_token: Mapped[str] = mapped_column(String(64))
    opened_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(index=True)
    address: Mapped[str] = mapped_column(String(MAX_ADDRESS))
    browser: Mapped[str] = mapped_column(Words)


class ConsoleChange(Base):
    """A change that was made at the console, or by a command about its users.

    Attributes
    ----------
    user
        Name of who made it.
    action
        A word; not interpreted by storage.
    subject
        What was changed: a series, a destination, a setting, a user.
    before, after
        Its values; empty where there is none.
    """

    __tablename__ = "console_change"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    user: Mapped[str] = mapped_column(String(MAX_NAME))
    action: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(Words)
    before: Mapped[str] = mapped_column(Words, default="")
    after: Mapped[str] = mapped_column(Words, default="")


class ConsoleToken(Base):
    """The token of a program that asks the API of the console.

    Attributes
    ----------
    name
        Of the client.
    role
        A word; not interpreted by storage.
    digest
        Of the token, under the key of the installation; the token is not kept.
    expires_at
        From when on it is worth nothing.
    created_by
        Who made it.
    used_at
        Time of its last request, to within a minute; None before the first.
    """

    __tablename__ = "console_token"

    name: Mapped[str] = mapped_column(String(MAX_NAME), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(Digest, unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(MAX_NAME))
    used_at: Mapped[datetime | None]


class ConsoleTries(Base):
    """Tries to log in by one key, since the latest that succeeded.

    Attributes
    ----------
    key
        SHA-256 of what they are counted by.
    """

    __tablename__ = "console_tries"

    key: Mapped[str] = mapped_column(Digest, primary_key=True)
    count: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(index=True)


class ConsoleFailedLogin(Base):
    """Logins that failed, of one user from one address for one reason, within an hour.

    Attributes
    ----------
    user
        Name of a user; empty for a name that nobody has: it may be a password.
    reason
        A word; not interpreted by storage.
    """

    __tablename__ = "console_failed_login"

    id: Mapped[int] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column(Words(MAX_NAME))
    address: Mapped[str] = mapped_column(Words(MAX_ADDRESS))
    reason: Mapped[str] = mapped_column(String(32))
    count: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)
