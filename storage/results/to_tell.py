"""Find what people may want to be told of: series that failed, and positive results.

A result is named by its reference, the beginning of its key: it says nothing to who has not the
database, and here it is found again.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from storage.database.schema import Result, Series
from storage.database.self_test_series import of_patients
from storage.database.watch_tables import HOLD, STOP, is_held
from storage.states import SeriesState

REFERENCE_LENGTH = (
    12  #: hexadecimal digits, 48 bits: two of a million results share one with p = 0.002
)
REFERENCE = re.compile(rf"[0-9a-f]{{{REFERENCE_LENGTH}}}")
MOST = 500  #: of each kind, the latest


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedSeries:
    """A series that failed.

    Attributes
    ----------
    key
        Of this failure: another for the same series at another time.
    reference
        Of its latest result; empty if it has none.
    """

    key: str
    reference: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PositiveResult:
    """The first positive result of a series."""

    reference: str
    at: datetime


def reference_of(key: str) -> str:
    """Give the reference of a result by its key."""
    return key[:REFERENCE_LENGTH]


def failed_since(session: Session, since: datetime) -> list[FailedSeries]:
    """List the series that failed since a time and still have, the oldest first."""
    rows = session.scalars(
        select(Series)
        .where(Series.state == SeriesState.FAILED, Series.since >= since, of_patients())
        .order_by(Series.since.desc(), Series.series_instance_uid)
        .limit(MOST)
    ).all()
    return [
        FailedSeries(
            key=hashlib.sha256(
                f"{row.series_instance_uid} {row.since.isoformat()}".encode()
            ).hexdigest()[:16],
            reference=reference_of(row.result_key or ""),
            at=row.since,
            reason=row.reason,
        )
        for row in reversed(rows)
    ]


def positives_since(session: Session, since: datetime) -> list[PositiveResult]:
    """List the results since a time by which a series became positive, the oldest first.

    Those of a scanner that is held are not among them before that is accepted.
    """
    before = aliased(Result)
    was_positive = (
        select(before.key)
        .where(
            before.series_instance_uid == Result.series_instance_uid,
            before.revision < Result.revision,
            before.positive.is_(True),
        )
        .exists()
    )
    rows = session.execute(
        select(Result.key, Result.created_at)
        .join(Series, Series.series_instance_uid == Result.series_instance_uid)
        .where(
            Result.created_at >= since,
            Result.positive.is_(True),
            Result.begun_on == "",
            ~was_positive,
            ~is_held(HOLD, STOP),
            of_patients(),
        )
        .order_by(Result.created_at.desc(), Result.key)
        .limit(MOST)
    ).all()
    return [PositiveResult(reference=reference_of(key), at=at) for key, at in reversed(rows)]


def series_of_reference(session: Session, reference: str) -> list[str]:
    """List the Series Instance UIDs of a result's reference: none, or one; hardly ever more.

    Parameters
    ----------
    reference
        As people type it; anything that is none finds nothing.
    """
    wanted = reference.strip().lower()
    if not REFERENCE.fullmatch(wanted):
        return []
    return list(
        session.scalars(
            select(Result.series_instance_uid)
            .where(Result.key >= wanted, Result.key < f"{wanted}g")
            .distinct()
        )
    )
