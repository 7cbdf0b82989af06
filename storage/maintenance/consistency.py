"""Compare files, rows and deliveries a part at a time, and list their disagreements."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from storage.database.batches import batched, in_parts
from storage.database.lease import read_lease
from storage.database.schema import Delivery, Instance, Quarantine, Result, ResultObject, Series
from storage.files.folder import (
    INSTANCE_ENDING,
    INSTANCE_FOLDERS,
    QUARANTINE,
    RESULTS,
    TEMPORARY,
    StorageFolder,
)
from storage.series.instances import kept_in, known_among
from storage.states import UNDER_WAY, DeliveryState, SeriesState

SETTLING = timedelta(minutes=10)  #: age at which every file has its row
ROWS_AT_ONCE = 5000  #: files whose rows are looked for
RESULTS_AT_ONCE = 200  #: results of one part of the comparison
STATES = "states"  #: name of the last part, behind all results
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
    UNREADABLE = "cannot be read"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one part of the comparison found.

    Attributes
    ----------
    name
        Its place in the order of the parts: the comparison goes on behind it.
    findings
        Of instances that are missing several may be of one series: see `joined`.
    looked_at
        Rows or files among which a repair finds what it changes or removes, by kind.
    """

    name: str
    findings: tuple[Finding, ...]
    looked_at: Mapping[Kind, int]


def compare_part(
    session: Session, folder: StorageFolder, now: datetime, after: str = ""
) -> Part | None:
    """Compare the part that follows another one; None if that was the last. Changes nothing.

    Instances are compared by the folder they are spread over, results some at a time: neither
    memory nor transaction grows with the archive. What cannot be read is a finding, and of what is
    in it nothing is judged. Files and rows that are so young that their counterparts may follow are
    left out.
    """
    for place in INSTANCE_FOLDERS:
        if place > after:
            return _compare_instances(session, folder, place, now - SETTLING)
    if after < STATES:
        key = after.removeprefix(RESULTS) if after.startswith(RESULTS) else ""
        return _compare_results(session, folder, key) or _compare_rest(session, folder, now)
    return None


def joined(findings: Iterable[Finding]) -> list[Finding]:
    """Join the findings of several parts: of the missing instances of a series one is made."""
    all_found = list(findings)
    missing: Counter[str] = Counter()
    for finding in all_found:
        if finding.kind is Kind.INSTANCES_MISSING:
            missing[finding.what] += finding.count
    return [
        *(_missing(uid, count) for uid, count in sorted(missing.items())),
        *(finding for finding in all_found if finding.kind is not Kind.INSTANCES_MISSING),
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
        Kind.RESULT_UNKNOWN: len(folder.paths_in(RESULTS)),
        Kind.QUARANTINE_MISSING: rows(Quarantine),
    }


def missing_instances(session: Session, folder: StorageFolder) -> Iterator[str]:
    """List the paths of kept instances whose files are missing; of what cannot be read none is."""
    for place in INSTANCE_FOLDERS:
        with suppress(OSError):
            yield from sorted(_missing_in(session, folder, place)[0])


def mark_missing(session: Session, paths: Sequence[str], now: datetime) -> None:
    """Mark instances whose files are missing as purged, by their paths."""
    for batch in batched(paths):
        session.execute(update(Instance).where(Instance.path.in_(batch)).values(purged_at=now))


def _compare_instances(
    session: Session, folder: StorageFolder, place: str, before: datetime
) -> Part:
    """Compare the rows of one folder of instances with its files, both ways."""
    kept: Mapping[str, str] = {}
    try:
        missing, files, kept = _missing_in(session, folder, place)
        unknown = sorted(files - kept.keys())
        for batch in in_parts(unknown, ROWS_AT_ONCE):
            files -= known_among(session, batch)
        counts = Counter(kept[path] for path in missing)
        findings = [
            *(_missing(uid, count) for uid, count in sorted(counts.items())),
            *_old(folder, files - kept.keys(), before, Kind.NOT_INDEXED),
        ]
    except OSError as fault:
        findings = [_unreadable(place, fault)]
    looked_at = {Kind.INSTANCES_MISSING: len(kept)}
    return Part(name=place, findings=tuple(findings), looked_at=looked_at)


def _missing_in(
    session: Session, folder: StorageFolder, place: str
) -> tuple[set[str], set[str], Mapping[str, str]]:
    """Find the kept instances of a folder that have no file.

    Returns
    -------
    tuple
        Their paths, the paths of all files, and the series of each path that is kept.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    # rows before files: an instance kept in between has a file and no row, and is young
    kept = kept_in(session, place)
    files = folder.paths_in(place, INSTANCE_ENDING)
    return kept.keys() - files, files, kept


def _missing(uid: str, count: int) -> Finding:
    return Finding(kind=Kind.INSTANCES_MISSING, what=uid, detail=f"{count} instances", count=count)


def _unreadable(what: str, fault: OSError) -> Finding:
    return Finding(kind=Kind.UNREADABLE, what=what, detail=fault.strerror or type(fault).__name__)


def _compare_results(session: Session, folder: StorageFolder, after: str) -> Part | None:
    """Look for the files of the kept results behind a key; None if there are no such results."""
    rows = session.execute(
        select(Result.key, Result.series_instance_uid, Result.folder)
        .where(Result.purged_at.is_(None), Result.key > after)
        .order_by(Result.key)
        .limit(RESULTS_AT_ONCE)
    ).all()
    if not rows:
        return None
    paths: dict[str, list[str]] = defaultdict(list)
    objects = select(ResultObject.result_key, ResultObject.path)
    for key, path in session.execute(
        objects.where(ResultObject.result_key.in_([row.key for row in rows]))
    ):
        paths[key].append(path)
    findings = []
    for key, uid, place in rows:
        try:
            missing = len(folder.absent_in(place, paths[key]))
        except OSError as fault:
            findings.append(_unreadable(place, fault))
            continue
        if missing:
            detail = f"{missing} objects of {place}"
            findings.append(
                Finding(kind=Kind.RESULT_MISSING, what=uid, detail=detail, count=missing)
            )
    return Part(name=f"{RESULTS}{rows[-1].key}", findings=tuple(findings), looked_at={})


def _compare_rest(session: Session, folder: StorageFolder, now: datetime) -> Part:
    """Compare results, temporary files and quarantine with their rows, and look what is stuck."""
    quarantined = set(session.scalars(select(Quarantine.path)))
    looked_at = {Kind.QUARANTINE_MISSING: len(quarantined)}
    findings: list[Finding] = []
    for place, before, kind in (
        (RESULTS, without_rows_before(session, now), Kind.RESULT_UNKNOWN),
        (TEMPORARY, now - STUCK, Kind.TEMPORARY_LEFT),
        (QUARANTINE, now - SETTLING, Kind.QUARANTINE_UNKNOWN),
    ):
        try:
            files = folder.paths_in(place)
        except OSError as fault:
            findings.append(_unreadable(place, fault))
            continue
        known: set[str] = set()
        if place == RESULTS:
            looked_at[kind] = len(files)
            known = _known_results(session, files)
        if place == QUARANTINE:
            known = quarantined
            findings += (
                Finding(kind=Kind.QUARANTINE_MISSING, what=path)
                for path in sorted(quarantined - files)
            )
        findings += _old(folder, files - known, before, kind)
    findings += _stuck(session, now - STUCK)
    return Part(name=STATES, findings=tuple(findings), looked_at=looked_at)


def _known_results(session: Session, folders: Iterable[str]) -> set[str]:
    """Find those of some folders of results that have a row: each is named by the result's key."""
    names = sorted(folder.rpartition("/")[2] for folder in folders)
    return {
        folder
        for batch in batched(names)
        for folder in session.scalars(select(Result.folder).where(Result.key.in_(batch)))
    }


def _old(
    folder: StorageFolder, paths: Iterable[str], before: datetime, kind: Kind
) -> Iterator[Finding]:
    """List those of some files that should have had a row before a time."""
    for path in sorted(paths):
        try:
            written = folder.written_at(path)
        except OSError as fault:
            yield _unreadable(path, fault)
            continue
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
