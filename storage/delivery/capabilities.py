"""What destinations take, as they last said at negotiation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from storage.database.schema import Capability as Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """Whether a SOP class is taken.

    Attributes
    ----------
    transfer_syntax_uid
        In which transfer syntax; empty if it is not taken.
    """

    sop_class_uid: str
    transfer_syntax_uid: str

    @property
    def is_accepted(self) -> bool:
        """Whether it is taken."""
        return bool(self.transfer_syntax_uid)


def record_capabilities(
    session: Session, destination: str, found: Iterable[Capability], now: datetime
) -> None:
    """Keep what a destination takes, in place of what it said before."""
    session.execute(delete(Row).where(Row.destination == destination))
    session.add_all(
        Row(
            destination=destination,
            sop_class_uid=each.sop_class_uid,
            transfer_syntax_uid=each.transfer_syntax_uid,
            accepted=each.is_accepted,
            at=now,
        )
        for each in found
    )
    session.flush()


def capabilities(session: Session, destination: str) -> list[Capability]:
    """List what a destination said last, by SOP Class UID; empty if it was never asked."""
    rows = session.scalars(
        select(Row).where(Row.destination == destination).order_by(Row.sop_class_uid)
    )
    return [
        Capability(sop_class_uid=row.sop_class_uid, transfer_syntax_uid=row.transfer_syntax_uid)
        for row in rows
    ]
