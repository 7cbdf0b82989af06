"""Column types of the tables."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import DateTime, Dialect, Enum, String, TypeDecorator


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


def word(states: type[StrEnum]) -> Enum:
    """Store an enumeration by its values, as readable text."""
    return Enum(
        states,
        native_enum=False,
        length=16,
        values_callable=lambda members: [member.value for member in members],
    )


Uid = String(64)  # DICOM PS3.5 9.1
Title = String(16)  # AE title, DICOM PS3.5 6.2
Digest = String(64)  # SHA-256, hexadecimal
RelativePath = String(255)
