"""What the tables' columns are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import DateTime, Dialect, Enum, String, TypeDecorator


class Instant(TypeDecorator[datetime]):
    """An aware point in time; databases that know no zones hold it in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; a naive time is a fault of the caller."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"expected an aware time, got {value.isoformat()} without a zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back where the database has dropped it."""
        return value and (value if value.tzinfo else value.replace(tzinfo=UTC))


def word(states: type[StrEnum]) -> Enum:
    """Store the value of a state as text that people can read."""
    return Enum(
        states, native_enum=False, length=16, values_callable=lambda kinds: [k.value for k in kinds]
    )


Uid = String(64)  # DICOM PS3.5 9.1
Title = String(16)  # AE title, DICOM PS3.5 6.2
Digest = String(64)  # SHA-256, hexadecimal
RelativePath = String(255)
