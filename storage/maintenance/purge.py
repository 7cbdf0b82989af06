"""Mark series whose files are to be removed, and record the removal: by retention, or erasure.

Rows are marked before the files are removed, and again when they are gone, so that a crash in
between leaves a purge that is resumed. Retention keeps the rows, with the summaries of results:
later studies are compared with them. Erasure, on an operator's request, deletes the rows as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from storage.database.batches import batched
from storage.database.schema import (
    Base,
    Delivery,
    Instance,
    NotifiedSeries,
    Result,
    ResultObject,
    Series,
)
from storage.database.self_test_series import of_patients
from storage.errors import StaleState
from storage.maintenance.erased_input import erase_input
from storage.maintenance.retention import ENDS, FINAL, YOUNGEST, RetentionRules, SeriesUsage, may_go
from storage.results.feedback import erase_feedback
from storage.results.signed_reports import erase_reports
from storage.series.lifecycle import locked
from storage.states import DeliveryState, SeriesState

RECEIVED = "received"  #: origin of a series' instances among its kept objects
SETTLED = FINAL | {DeliveryState.ACCEPTED}  #: states of deliveries that are not under way
NO_FILES = datetime.min.replace(tzinfo=UTC)  #: `Purge.before` of a condensed series without results


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """The files of one series that are to be removed.

    Attributes
    ----------
    paths
        Of instances and of the folders of results; relative to the storage folder.
    before
        Files written later were received again, and stay.
    """

    series_instance_uid: str
    paths: tuple[str, ...]
    instances: int
    results: int
    before: datetime


def latest_change(session: Session) -> datetime | None:
    """Give the time when the latest instance came, or a series entered its state; None if empty."""
    times = [
        session.scalar(select(func.max(Series.last_at))),
        *(
            session.scalar(select(func.max(Series.since)).where(Series.state == state))
            for state in SeriesState
        ),
    ]
    return max((time for time in times if time is not None), default=None)


def series_with_old_files(session: Session, before: datetime) -> set[str]:
    """List the series with files of which one is from before a time: the others are not due."""
    kept = (  # without DISTINCT, for which SQLite would rather go over all rows
        select(Instance.series_instance_uid).where(
            Instance.purged_at.is_(None), Instance.received_at < before
        ),
        select(Result.series_instance_uid).where(
            Result.purged_at.is_(None), Result.created_at < before
        ),
    )
    return {uid for rows in kept for uid in session.scalars(rows)}


def series_usages(session: Session, uids: Collection[str] | None = None) -> list[SeriesUsage]:
    """List the usage of all series of patients that have files, or of some series."""
    if uids is None:
        return _usages(session, of_patients())
    return [
        usage
        for batch in batched(sorted(uids))
        for usage in _usages(session, Series.series_instance_uid.in_(batch))
    ]


def _usages(session: Session, chosen: ColumnElement[bool]) -> list[SeriesUsage]:
    with_files = or_(
        *(
            exists()
            .where(
                table.series_instance_uid == Series.series_instance_uid, table.purged_at.is_(None)
            )
            .correlate(Series)
            for table in (Instance, Result)
        )
    )
    rows = session.scalars(select(Series).where(chosen, with_files)).all()
    sizes = _sizes(session, chosen)
    deliveries = _deliveries(session, and_(chosen, with_files))  # not of all that ever was
    return [
        SeriesUsage(
            series_instance_uid=row.series_instance_uid,
            state=row.state,
            since=row.since,
            last_at=row.last_at,
            rerun_requested=row.rerun is not None,
            bytes=sizes.get(row.series_instance_uid, 0),
            deliveries=frozenset(deliveries[row.series_instance_uid]),
        )
        for row in rows
    ]


def kept_files(session: Session, series_instance_uid: str) -> list[str]:
    """List the kept files of a series: the paths of its instances and of its results' folders."""
    return [
        *session.scalars(
            select(Instance.path).where(
                Instance.series_instance_uid == series_instance_uid, Instance.purged_at.is_(None)
            )
        ),
        *session.scalars(
            select(Result.folder).where(
                Result.series_instance_uid == series_instance_uid, Result.purged_at.is_(None)
            )
        ),
    ]


class KeptObject(NamedTuple):
    """A DICOM object that is kept: its path, relative to the storage folder, and its SOP class."""

    path: str
    sop_class_uid: str


def kept_objects(session: Session, series_instance_uid: str) -> dict[str, list[KeptObject]]:
    """List the files of a series' kept DICOM objects by their origin, for an export.

    Returns
    -------
    dict
        ``received`` and ``result-N`` (N its revision) to objects; superseded instances left out.
    """
    received = session.execute(
        select(Instance.path, Instance.sop_class_uid)
        .where(
            Instance.series_instance_uid == series_instance_uid,
            Instance.purged_at.is_(None),
            ~Instance.superseded,
        )
        .order_by(Instance.sop_instance_uid)
    )
    kept = {RECEIVED: [KeptObject(path, kind) for path, kind in received]}
    results = session.execute(
        select(Result.revision, ResultObject.path, ResultObject.sop_class_uid)
        .join(ResultObject, ResultObject.result_key == Result.key)
        .where(Result.series_instance_uid == series_instance_uid, Result.purged_at.is_(None))
        .order_by(Result.revision, ResultObject.position)
    )
    for revision, path, kind in results:
        kept.setdefault(f"result-{revision}", []).append(KeptObject(path, kind))
    return kept


def mark_for_purge(
    session: Session, series_instance_uid: str, rules: RetentionRules, now: datetime
) -> None:
    """Mark the kept files of a series for removal by retention.

    Raises
    ------
    StorageError
        If there is no such series.
    StaleState
        If the rules do not allow it any more.
    """
    row = locked(session, series_instance_uid)
    usages = series_usages(session, [series_instance_uid])
    if not all(may_go(usage, rules, now) for usage in usages):
        raise StaleState(f"series {series_instance_uid} has changed since it was chosen")
    _mark_files(session, row, now)


def mark_for_erasure(session: Session, series_instance_uid: str, now: datetime) -> None:
    """Mark the kept files of a series for removal, whatever its age.

    Raises
    ------
    StorageError
        If there is no such series.
    StaleState
        If its analysis, a rerun or a delivery is under way.
    """
    row = locked(session, series_instance_uid)
    usages = series_usages(session, [series_instance_uid])
    states = {state for usage in usages for _, state in usage.deliveries}
    if row.state not in ENDS or row.rerun is not None or states - SETTLED:
        raise StaleState(f"something is under way with series {series_instance_uid}: {row.state}")
    _mark_files(session, row, now)


def unfinished_purges(session: Session) -> list[Purge]:
    """List the series that are marked, and whose files are not yet known to be removed.

    Those of documents are last: what they say of a result is there until its series is done with.
    """
    query = select(Series.series_instance_uid).where(Series.purging)
    uids = session.scalars(query.order_by(Series.of_documents, Series.series_instance_uid)).all()
    return [_purge(session, uid) for uid in uids]


def finish_purge(session: Session, series_instance_uid: str) -> None:
    """Record that the files of a marked series are removed."""
    locked(session, series_instance_uid).purging = False
    session.flush()


def erase_rows(session: Session, series_instance_uid: str) -> None:
    """Delete all rows of a series; after its files, or a scan would record them again."""
    erase_feedback(session, series_instance_uid)
    erase_reports(session, series_instance_uid)
    erase_input(session, series_instance_uid)
    of_series = select(Result.key).where(Result.series_instance_uid == series_instance_uid)
    objects = select(ResultObject.sop_instance_uid).where(ResultObject.result_key.in_(of_series))
    deliveries = select(Delivery.id).where(Delivery.sop_instance_uid.in_(objects))
    for parent in referring_to(Delivery):
        session.execute(delete(parent.table).where(parent.in_(deliveries)))
    for statement in (
        delete(Delivery).where(Delivery.sop_instance_uid.in_(objects)),
        delete(ResultObject).where(ResultObject.result_key.in_(of_series)),
        delete(NotifiedSeries).where(NotifiedSeries.series_instance_uid == series_instance_uid),
        *(
            delete(parent.table).where(parent == series_instance_uid)
            for parent in referring_to(Series)
        ),
        delete(Series).where(Series.series_instance_uid == series_instance_uid),
    ):
        session.execute(statement)


def referring_to(row: type[Base]) -> list[Column[Any]]:
    """List the columns of all tables by which their rows refer to rows of one: they go with it."""
    return [
        key.parent
        for table in reversed(Base.metadata.sorted_tables)
        for key in table.foreign_keys
        if key.column.table is row.__table__
    ]


def _sizes(session: Session, chosen: ColumnElement[bool]) -> dict[str, int]:
    """Sum the sizes of kept instances by series, bytes."""
    rows = session.execute(
        select(Instance.series_instance_uid, func.sum(Instance.bytes))
        .join(Series)
        .where(chosen, Instance.purged_at.is_(None))
        .group_by(Instance.series_instance_uid)
    )
    return {uid: int(size) for uid, size in rows}


def _deliveries(
    session: Session, chosen: ColumnElement[bool]
) -> dict[str, set[tuple[str, DeliveryState]]]:
    """List the destinations and states of deliveries by series."""
    rows = session.execute(
        select(Result.series_instance_uid, Delivery.destination, Delivery.state)
        .join(Series)
        .join(ResultObject, ResultObject.result_key == Result.key)
        .join(Delivery, Delivery.sop_instance_uid == ResultObject.sop_instance_uid)
        .where(chosen)
        .distinct()
    )
    deliveries: dict[str, set[tuple[str, DeliveryState]]] = defaultdict(set)
    for uid, destination, state in rows:
        deliveries[uid].add((destination, state))
    return deliveries


def _mark_files(session: Session, row: Series, now: datetime) -> None:
    row.purging = True
    for table in (Instance, Result):
        session.execute(
            update(table)
            .where(table.series_instance_uid == row.series_instance_uid, table.purged_at.is_(None))
            .values(purged_at=now)
        )
    session.flush()


def _purge(session: Session, uid: str) -> Purge:
    instances = session.execute(
        select(Instance.path, Instance.purged_at).where(
            Instance.series_instance_uid == uid, Instance.purged_at.is_not(None)
        )
    ).all()
    results = session.execute(
        select(Result.folder, Result.purged_at).where(
            Result.series_instance_uid == uid, Result.purged_at.is_not(None)
        )
    ).all()
    marked = [*instances, *results]
    return Purge(
        series_instance_uid=uid,
        paths=tuple(path for path, _ in marked if path),
        instances=len(instances),
        results=len(results),
        before=max((at - YOUNGEST for _, at in marked if at), default=NO_FILES),
    )
