"""Column types of the tables."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import DateTime, Dialect, Enum, String, Text, TypeDecorator

MAX_TITLE = 16  #: characters of an AE title, DICOM PS3.5 6.2
MAX_WORDS = 100_000  #: characters


class Instant(TypeDecorator[datetime]):
    """An aware point in time, stored in UTC where the database has no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; a naive time is an error of the caller."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"expected an aware time, got {value.isoformat()} without a zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Restore UTC: SQLite gives no zone, PostgreSQL that of the session."""
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


class Words(TypeDecorator[str]):
    """Text that peers may have sent, made such that every database takes it.

    PostgreSQL takes no NUL, no longer text than the column is wide, and no longer key than a third
    of a page; no database takes half a character.

    Parameters
    ----------
    most
        Characters; what is longer is cut.
    """

    impl: type[Text] | String = Text
    cache_ok = True

    def __init__(self, most: int = MAX_WORDS) -> None:
        super().__init__()
        self.most = most

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Cut the text, and replace what is no character."""
        if value is None or (len(value) <= self.most and value.isprintable()):
            return value
        return value[: self.most].encode(errors="replace").decode().replace("\0", "?")


class TitleWords(Words):
    """An AE title that a peer may have sent."""

    impl = String(MAX_TITLE)
    cache_ok = True


def word(states: type[StrEnum]) -> Enum:
    """Store an enumeration by its values, as readable text."""
    return Enum(
        states,
        native_enum=False,
        length=16,
        values_callable=lambda members: [member.value for member in members],
    )


Uid = String(64)  # DICOM PS3.5 9.1
Title = TitleWords(MAX_TITLE)
KeyWords = Words(300)  #: three of them fit into a key of PostgreSQL (2,704 bytes)
Digest = String(64)  # SHA-256, or HMAC-SHA-256, hexadecimal
RelativePath = String(255)
