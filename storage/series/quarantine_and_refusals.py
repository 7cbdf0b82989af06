"""Record quarantined files and refusals, so that an operator can find their cause."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, delete, select
from sqlalchemy.orm import Session

from storage.database.schema import Quarantine, Refusal


def record_quarantine(
    session: Session, path: str, now: datetime, *, reason: str, calling_ae: str
) -> None:
    """Record a kept file that cannot be read as an instance; the latest reason stands."""
    session.merge(Quarantine(path=path, reason=reason, calling_ae=calling_ae, at=now))
    session.flush()


def old_quarantine(session: Session, before: datetime) -> list[str]:
    """List the files that have been in quarantine since `before`."""
    return list(session.scalars(select(Quarantine.path).where(Quarantine.at < before)))


def forget_quarantine(
    session: Session, paths: Collection[str], before: datetime | None = None
) -> None:
    """Delete the rows of removed files, except of those quarantined again since `before`."""
    removed = Quarantine.path.in_(paths)
    session.execute(
        delete(Quarantine).where(
            removed if before is None else and_(removed, Quarantine.at < before)
        )
    )


def record_refusal(
    session: Session, now: datetime, *, calling_ae: str, what: str, reason: str
) -> None:
    """Count a refusal at negotiation, such as of a SOP class that is not accepted."""
    key = {"calling_ae": calling_ae, "what": what, "reason": reason}
    row = session.get(Refusal, key, with_for_update=True)
    if row is None:
        row = Refusal(**key, count=0, last_at=now)
        session.add(row)
    row.count += 1
    row.last_at = now
    session.flush()
