"""Record the SOP classes that destinations accept, as last negotiated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from storage.database.schema import Capability as Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """The acceptance of a SOP class by a destination.

    Attributes
    ----------
    transfer_syntax_uid
        The transfer syntax accepted; empty if the class is not.
    """

    sop_class_uid: str
    transfer_syntax_uid: str

    @property
    def is_accepted(self) -> bool:
        """Whether the class is accepted."""
        return bool(self.transfer_syntax_uid)


def record_capabilities(
    session: Session, destination: str, negotiated: Iterable[Capability], now: datetime
) -> None:
    """Record what a destination accepts, in place of what was recorded before."""
    session.execute(delete(Row).where(Row.destination == destination))
    session.add_all(
        Row(
            destination=destination,
            sop_class_uid=capability.sop_class_uid,
            transfer_syntax_uid=capability.transfer_syntax_uid,
            accepted=capability.is_accepted,
            at=now,
        )
        for capability in negotiated
    )
    session.flush()


def capabilities(session: Session, destination: str) -> list[Capability]:
    """List the capabilities of a destination, by SOP Class UID; empty if never negotiated."""
    rows = session.scalars(
        select(Row).where(Row.destination == destination).order_by(Row.sop_class_uid)
    )
    return [
        Capability(sop_class_uid=row.sop_class_uid, transfer_syntax_uid=row.transfer_syntax_uid)
        for row in rows
    ]
