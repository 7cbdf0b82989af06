"""Compare files, rows and deliveries, and list their disagreements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from storage.database.batches import batched, in_parts
from storage.database.lease import read_lease
from storage.database.schema import Delivery, Instance, Quarantine, Result, ResultObject, Series
from storage.files.folder import (
    INCOMING,
    QUARANTINE,
    RESULTS,
    TEMPORARY,
    StorageFolder,
)
from storage.series.instances import known_among
from storage.states import UNDER_WAY, DeliveryState, SeriesState

SETTLING = timedelta(minutes=10)  #: age at which every file has its row
ROWS_AT_ONCE = 5000  #: of instances and of objects of results
STUCK = timedelta(days=1)  #: longer than any analysis or attempt to send


class Kind(StrEnum):
    """Kind of disagreement."""

    COPY_RESTORED = "restored copy"
    KEY_LOST = "identity key lost"
    INSTANCES_MISSING = "instances without files"
    RESULT_MISSING = "result without its files"
    NOT_INDEXED = "file without a row"
    RESULT_UNKNOWN = "result folder without a row"
    TEMPORARY_LEFT = "temporary file left"
    QUARANTINE_MISSING = "quarantine row without its file"
    QUARANTINE_UNKNOWN = "quarantined file without a row"
    ANALYSING_STUCK = "analysing for more than a day"
    SENDING_STUCK = "sending for more than a day"
    NOTHING_TO_SEND = "encoded, but nothing is left to send"
    INSTANCE_CHANGED = "instance whose bytes have changed"
    RESULT_CHANGED = "result whose bytes have changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One disagreement between files, rows and deliveries.

    Attributes
    ----------
    what
        Series Instance UID, path relative to the storage folder, or number of a delivery.
    count
        Rows or files concerned.
    """

    kind: Kind
    what: str
    detail: str = ""
    count: int = 1


def disagreements(session: Session, folder: StorageFolder, now: datetime) -> list[Finding]:
    """List every disagreement, without changing anything.

    Files and rows that are so young that their counterparts may follow are left out.
    """
    # rows before files: an instance kept in between has a file and no row, and is young
    known = _known(session)
    # ... and of instances, whose number grows with the archive, a part at a time
    return [
        *_missing_instances(session, folder),
        *_missing_results(session, folder),
        *_not_indexed(session, folder, now - SETTLING),
        *_unknown(
            folder, f"{RESULTS}/*", known, without_rows_before(session, now), Kind.RESULT_UNKNOWN
        ),
        *_unknown(folder, f"{TEMPORARY}/*", set(), now - STUCK, Kind.TEMPORARY_LEFT),
        *_unknown(folder, f"{QUARANTINE}/*", known, now - SETTLING, Kind.QUARANTINE_UNKNOWN),
        *_missing_quarantine(session, folder),
        *_stuck(session, now - STUCK),
    ]


def without_rows_before(session: Session, now: datetime) -> datetime:
    """Give the time before which a folder of results has its row, or never gets one.

    The process that would have entered it has ended if it was written before the lease was taken.
    """
    lease = read_lease(session)
    return now - STUCK if lease is None else max(now - STUCK, lease.since)


def nothing_to_send(session: Session) -> list[tuple[str, str]]:
    """List the ENCODED series without a delivery under way, and the keys of their results."""
    under_way = (
        select(Delivery.id)
        .join(ResultObject)
        .where(
            ResultObject.result_key == Series.result_key,
            Delivery.state.in_((*UNDER_WAY, DeliveryState.DECLINED)),
        )
    )
    rows = session.execute(
        select(Series.series_instance_uid, Series.result_key).where(
            Series.state == SeriesState.ENCODED, ~under_way.exists()
        )
    )
    return [(uid, key) for uid, key in rows if key]


def totals(session: Session, folder: StorageFolder) -> dict[Kind, int]:
    """Count the rows or files among which a repair finds what it changes or removes, by kind."""

    def rows(table: type[Instance | Quarantine], *where: ColumnElement[bool]) -> int:
        return session.scalar(select(func.count()).select_from(table).where(*where)) or 0

    return {
        Kind.INSTANCES_MISSING: rows(Instance, Instance.purged_at.is_(None)),
        Kind.RESULT_UNKNOWN: len(folder.paths(f"{RESULTS}/*")),
        Kind.QUARANTINE_MISSING: rows(Quarantine),
    }


def missing_instances(session: Session, folder: StorageFolder) -> Iterator[tuple[str, str]]:
    """List kept instances whose files are missing: Series Instance UID and path.

    Rows come a part at a time, and each file is looked at: the memory does not grow with them.

    Raises
    ------
    OSError
        As `StorageFolder.has`.
    """
    rows = session.execute(
        select(Instance.series_instance_uid, Instance.path)
        .where(Instance.purged_at.is_(None))
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    with closing(rows):
        for uid, path in rows:
            if not folder.has(path):
                yield uid, path


def mark_missing(session: Session, paths: Sequence[str], now: datetime) -> None:
    """Mark instances whose files are missing as purged, by their paths."""
    for batch in batched(paths):
        session.execute(update(Instance).where(Instance.path.in_(batch)).values(purged_at=now))


def _known(session: Session) -> set[str]:
    return {
        *session.scalars(select(Result.folder)),
        *session.scalars(select(Quarantine.path)),
    }


def _not_indexed(session: Session, folder: StorageFolder, before: datetime) -> Iterator[Finding]:
    """List the files of instances without a row, folder by folder."""
    for place in sorted(folder.paths(f"{INCOMING}/*/")):
        for part in in_parts(folder.instances_in(place), ROWS_AT_ONCE):
            yield from _old(folder, set(part) - known_among(session, part), before)


def _old(folder: StorageFolder, paths: Iterable[str], before: datetime) -> Iterator[Finding]:
    for path in sorted(paths):
        written = folder.written_at(path)
        if written is not None and written < before:
            yield Finding(kind=Kind.NOT_INDEXED, what=path)


def _missing_instances(session: Session, folder: StorageFolder) -> Iterator[Finding]:
    missing = Counter(uid for uid, _ in missing_instances(session, folder))
    for uid, count in sorted(missing.items()):
        yield Finding(
            kind=Kind.INSTANCES_MISSING, what=uid, detail=f"{count} instances", count=count
        )


def _missing_results(session: Session, folder: StorageFolder) -> Iterator[Finding]:
    """List the results that lack objects, each once."""
    rows = session.execute(
        select(Result.series_instance_uid, Result.folder, ResultObject.path)
        .join(ResultObject, ResultObject.result_key == Result.key)
        .where(Result.purged_at.is_(None))
        .order_by(Result.series_instance_uid, Result.revision)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )
    with closing(rows):
        missing = Counter((uid, result) for uid, result, path in rows if not folder.has(path))
    for (uid, result), count in missing.items():
        detail = f"{count} objects of {result}"
        yield Finding(kind=Kind.RESULT_MISSING, what=uid, detail=detail, count=count)


def _missing_quarantine(session: Session, folder: StorageFolder) -> Iterator[Finding]:
    for path in session.scalars(select(Quarantine.path)):
        if not folder.has(path):
            yield Finding(kind=Kind.QUARANTINE_MISSING, what=path)


def _unknown(
    folder: StorageFolder, pattern: str, known: Iterable[str], before: datetime, kind: Kind
) -> Iterator[Finding]:
    for path in sorted(folder.paths(pattern).difference(known)):
        written = folder.written_at(path)
        if written is not None and written < before:
            yield Finding(kind=kind, what=path)


def _stuck(session: Session, before: datetime) -> Iterator[Finding]:
    analysing = (Series.state == SeriesState.ANALYSING, Series.since < before)
    for uid in session.scalars(select(Series.series_instance_uid).where(*analysing)):
        yield Finding(kind=Kind.ANALYSING_STUCK, what=uid)
    sending = (Delivery.state == DeliveryState.SENDING, Delivery.next_at < before)
    for row in session.scalars(select(Delivery).where(*sending)):
        detail = f"{row.sop_instance_uid} to {row.destination}"
        yield Finding(kind=Kind.SENDING_STUCK, what=str(row.id), detail=detail)
    for uid, _ in nothing_to_send(session):
        yield Finding(kind=Kind.NOTHING_TO_SEND, what=uid)
