"""Keep how each series was taken for complete, what the waiting cost, and what came late."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from storage.database.schema import Closing
from storage.database.self_test_series import self_test_series
from storage.series.lifecycle import OpenSeries

SOON = timedelta(minutes=10)
"""An instance that comes so soon after a closing belongs to the same transfer: it was too early;
what comes later was sent anew, as after a correction in the archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitLine:
    """What waiting for the end of series cost, of one sender.

    Attributes
    ----------
    median_seconds, p95_seconds
        From the latest instance of a series to its closing; of the nearest ranks.
    closed_by
        Number of series for each proof.
    too_early
        Number of them to which another instance came within `SOON`, for each proof.
    """

    calling_ae: str
    series: int
    median_seconds: float
    p95_seconds: float
    closed_by: Mapping[str, int]
    too_early: Mapping[str, int]


def record_closing(
    session: Session, series: OpenSeries, closed_by: str, waited_seconds: float, now: datetime
) -> None:
    """Record that a series is closed, and by what."""
    session.merge(
        Closing(
            series_instance_uid=series.series_instance_uid,
            generation=series.generation,
            calling_ae=series.calling_ae,
            closed_by=closed_by,
            instances=series.instances,
            waited_seconds=waited_seconds,
            closed_at=now,
            late_at=None,
        )
    )
    session.flush()


def note_late(session: Session, series_instance_uid: str, generation: int, now: datetime) -> None:
    """Note of the closing of a generation that an instance came after it, if none has before."""
    session.execute(
        update(Closing)
        .where(
            Closing.series_instance_uid == series_instance_uid,
            Closing.generation == generation,
            Closing.late_at.is_(None),
        )
        .values(late_at=now)
    )


def waits(session: Session, since: datetime) -> list[WaitLine]:
    """Summarise the closings since a moment, by sender, the most series first."""
    own = self_test_series(session)
    rows = session.scalars(
        select(Closing).where(Closing.closed_at >= since, Closing.series_instance_uid.not_in(own))
    ).all()
    by_sender: dict[str, list[Closing]] = defaultdict(list)
    for row in rows:
        by_sender[row.calling_ae].append(row)
    lines = [_line(sender, closings) for sender, closings in by_sender.items()]
    return sorted(lines, key=lambda line: (-line.series, line.calling_ae))


def too_early(session: Session, since: datetime) -> frozenset[tuple[str, str]]:
    """List senders and proofs by which a series of theirs was closed too early."""
    rows = session.scalars(select(Closing).where(Closing.late_at >= since))
    return frozenset((row.calling_ae, row.closed_by) for row in rows if _is_too_early(row))


def _is_too_early(row: Closing) -> bool:
    return row.late_at is not None and row.late_at - row.closed_at <= SOON


def _line(sender: str, closings: Sequence[Closing]) -> WaitLine:
    seconds = sorted(row.waited_seconds for row in closings)
    return WaitLine(
        calling_ae=sender,
        series=len(closings),
        median_seconds=_of_rank(seconds, 0.5),
        p95_seconds=_of_rank(seconds, 0.95),
        closed_by=dict(Counter(row.closed_by for row in closings).most_common()),
        too_early=dict(
            Counter(row.closed_by for row in closings if _is_too_early(row)).most_common()
        ),
    )


def _of_rank(ascending: Sequence[float], share: float) -> float:
    """Value of the nearest rank."""
    return ascending[max(math.ceil(share * len(ascending)), 1) - 1]
