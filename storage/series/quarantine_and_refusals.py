"""Record quarantined files and refusals, so that an operator can find their cause."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import and_, delete, select
from sqlalchemy.orm import Session

from storage.database.schema import Quarantine, Refusal

MAXIMUM_KINDS = 200  #: of refusals that have a row of their own, the latest; `status` shows fifty


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalKind:
    """A kind of refusal: of whom, what and why; refusals of one kind are counted in one row."""

    calling_ae: str
    what: str
    reason: str
    address: str = ""


OTHERS = RefusalKind(
    calling_ae="(others)",
    what="refusals of earlier kinds",
    reason="only the latest kinds are told apart",
)
"""The row in which all other refusals are counted."""


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


def record_refusal(session: Session, now: datetime, kind: RefusalKind, count: int = 1) -> None:
    """Count refusals before an instance was kept, such as of a SOP class that is not accepted.

    Titles are what callers make of them: only the latest kinds have a row of their own, the others
    are counted in one.
    """
    key = asdict(kind)
    row = session.get(Refusal, key, with_for_update=True)
    if row is None:
        row = Refusal(**key, count=0, last_at=now)
        session.add(row)
    row.count += count
    row.last_at = now
    session.flush()
    _fold_oldest(session)


def _fold_oldest(session: Session) -> None:
    """Count the refusals of all but the latest kinds in the row of the others."""
    is_other = and_(*(getattr(Refusal, name) == value for name, value in asdict(OTHERS).items()))
    oldest = session.scalars(
        select(Refusal).where(~is_other).order_by(Refusal.last_at.desc()).offset(MAXIMUM_KINDS)
    ).all()
    if not oldest:
        return
    others = session.get(Refusal, asdict(OTHERS), with_for_update=True)
    if others is None:
        others = Refusal(**asdict(OTHERS), count=0, last_at=oldest[0].last_at)
        session.add(others)
    for row in oldest:
        others.count += row.count
        others.last_at = max(others.last_at, row.last_at)
        session.delete(row)
    session.flush()
