"""What did not become an instance, kept so that a person can find out why."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, delete, select
from sqlalchemy.orm import Session

from storage.database.schema import Quarantine, Refusal


def record_quarantine(
    session: Session, path: str, now: datetime, *, reason: str, calling_ae: str
) -> None:
    """Enter a file that was kept but cannot be understood; the latest reason stands."""
    session.merge(Quarantine(path=path, reason=reason, calling_ae=calling_ae, at=now))
    session.flush()


def old_quarantine(session: Session, before: datetime) -> list[str]:
    """List the files that have been in quarantine since `before`."""
    return list(session.scalars(select(Quarantine.path).where(Quarantine.at < before)))


def forget_quarantine(
    session: Session, paths: Collection[str], before: datetime | None = None
) -> None:
    """Take the rows of files away that are gone; not of those that have come again since."""
    gone = Quarantine.path.in_(paths)
    session.execute(
        delete(Quarantine).where(gone if before is None else and_(gone, Quarantine.at < before))
    )


def record_refusal(
    session: Session, now: datetime, *, calling_ae: str, what: str, reason: str
) -> None:
    """Count something refused at negotiation, such as a SOP class we do not take."""
    key = {"calling_ae": calling_ae, "what": what, "reason": reason}
    row = session.get(Refusal, key, with_for_update=True)
    if row is None:
        row = Refusal(**key, count=0, last_at=now)
        session.add(row)
    row.count += 1
    row.last_at = now
    session.flush()
