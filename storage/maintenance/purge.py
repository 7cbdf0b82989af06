"""Rows of what retention removes: marked before the files go, and again once they are gone.

Rows stay, and so do the summaries of results: later studies are compared with them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, or_, select, true, update
from sqlalchemy.orm import Session

from storage.database.schema import (
    Base,
    Delivery,
    Instance,
    Result,
    ResultObject,
    Search,
    Series,
)
from storage.errors import StaleState
from storage.maintenance.retention import ENDS, FINAL, YOUNGEST, RetentionRules, SeriesUsage, may_go
from storage.series.lifecycle import locked
from storage.states import DeliveryState

SETTLED = FINAL | {DeliveryState.ACCEPTED}  #: deliveries that nothing is under way with


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """Files that go.

    Attributes
    ----------
    paths
        Of instances and of the folders of results; relative to the storage folder.
    before
        What was written later has come again, and stays.
    """

    series_instance_uid: str
    paths: tuple[str, ...]
    instances: int
    results: int
    before: datetime


def standings(session: Session, uids: Collection[str] | None = None) -> list[SeriesUsage]:
    """Look at the series that have files, or at those of them that are named."""
    of_instances = select(Instance.series_instance_uid).where(Instance.purged_at.is_(None))
    of_results = select(Result.series_instance_uid).where(Result.purged_at.is_(None))
    uid = Series.series_instance_uid
    of_them = true() if uids is None else uid.in_(uids)
    chosen = select(Series).where(of_them, or_(uid.in_(of_instances), uid.in_(of_results)))
    sizes, deliveries = _sizes(session, of_them), _deliveries(session, of_them)
    return [
        SeriesUsage(
            series_instance_uid=row.series_instance_uid,
            state=row.state,
            since=row.since,
            last_at=row.last_at,
            wished=row.wish is not None,
            bytes=sizes.get(row.series_instance_uid, 0),
            deliveries=frozenset(deliveries[row.series_instance_uid]),
        )
        for row in session.scalars(chosen)
    ]


def _sizes(session: Session, of_them: ColumnElement[bool]) -> dict[str, int]:
    rows = session.execute(
        select(Instance.series_instance_uid, func.sum(Instance.bytes))
        .join(Series)
        .where(of_them, Instance.purged_at.is_(None))
        .group_by(Instance.series_instance_uid)
    )
    return {uid: int(size) for uid, size in rows}


def _deliveries(
    session: Session, of_them: ColumnElement[bool]
) -> dict[str, set[tuple[str, DeliveryState]]]:
    rows = session.execute(
        select(Result.series_instance_uid, Delivery.destination, Delivery.state)
        .join(Series)
        .join(ResultObject, ResultObject.result_key == Result.key)
        .join(Delivery, Delivery.sop_instance_uid == ResultObject.sop_instance_uid)
        .where(of_them)
        .distinct()
    )
    found: dict[str, set[tuple[str, DeliveryState]]] = defaultdict(set)
    for uid, destination, state in rows:
        found[uid].add((destination, state))
    return found


def files_of(session: Session, series_instance_uid: str) -> list[str]:
    """List what is kept of a series: the paths of its instances and of its results' folders."""
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


def mark(session: Session, series_instance_uid: str, rules: RetentionRules, now: datetime) -> None:
    """Mark a series and all that is kept of it: from here on its files are to be removed.

    Raises
    ------
    StaleState
        If it may not go any more.
    """
    row = locked(session, series_instance_uid)
    if not all(may_go(each, rules, now) for each in standings(session, [series_instance_uid])):
        raise StaleState(f"series {series_instance_uid} has changed since it was chosen")
    mark_all(session, row, now)


def mark_all(session: Session, row: Series, now: datetime) -> None:
    """Mark all that is kept of a series, whether it may go by its age or not."""
    row.purging = True
    for table in (Instance, Result):
        session.execute(
            update(table)
            .where(table.series_instance_uid == row.series_instance_uid, table.purged_at.is_(None))
            .values(purged_at=now)
        )
    session.flush()


def kept_objects(session: Session, series_instance_uid: str) -> dict[str, list[str]]:
    """List the files of DICOM objects that are kept, by what they are: for a person's copy.

    Returns
    -------
    dict
        ``received`` and ``result-N`` (N its revision) to paths; superseded instances left out.
    """
    received = session.scalars(
        select(Instance.path)
        .where(
            Instance.series_instance_uid == series_instance_uid,
            Instance.purged_at.is_(None),
            ~Instance.superseded,
        )
        .order_by(Instance.sop_instance_uid)
    )
    found = {"received": list(received)}
    results = session.execute(
        select(Result.revision, ResultObject.path)
        .join(ResultObject, ResultObject.result_key == Result.key)
        .where(Result.series_instance_uid == series_instance_uid, Result.purged_at.is_(None))
        .order_by(Result.revision, ResultObject.position)
    )
    for revision, path in results:
        found.setdefault(f"result-{revision}", []).append(path)
    return found


def unfinished(session: Session) -> list[Purge]:
    """List what is marked, and not yet known to be gone."""
    uids = session.scalars(select(Series.series_instance_uid).where(Series.purging)).all()
    return [_purge(session, uid) for uid in uids]


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
        before=max(at for _, at in marked if at) - YOUNGEST,
    )


def finish(session: Session, series_instance_uid: str) -> None:
    """Enter that the files of a marked series are gone."""
    locked(session, series_instance_uid).purging = False
    session.flush()


def mark_for_erasure(session: Session, series_instance_uid: str, now: datetime) -> None:
    """Mark a series and all that is kept of it, whatever its age.

    Raises
    ------
    StorageError
        If there is no such series.
    StaleState
        If something is under way with it.
    """
    row = locked(session, series_instance_uid)
    sent = {
        state for each in standings(session, [series_instance_uid]) for _, state in each.deliveries
    }
    if row.state not in ENDS or row.wish is not None or sent - SETTLED:
        raise StaleState(f"something is under way with series {series_instance_uid}: {row.state}")
    mark_all(session, row, now)


def erase_rows(session: Session, series_instance_uid: str) -> None:
    """Delete all rows of a series; its files must be gone, or they would be taken up again."""
    of_series = select(Result.key).where(Result.series_instance_uid == series_instance_uid)
    objects = select(ResultObject.sop_instance_uid).where(ResultObject.result_key.in_(of_series))
    deliveries = select(Delivery.id).where(Delivery.sop_instance_uid.in_(objects))
    for table in Base.metadata.sorted_tables:  # what refers to a delivery goes with it
        for key in table.foreign_keys:
            if key.column.table is Delivery.__table__:
                session.execute(delete(table).where(key.parent.in_(deliveries)))
    for statement in (
        delete(Delivery).where(Delivery.sop_instance_uid.in_(objects)),
        delete(ResultObject).where(ResultObject.result_key.in_(of_series)),
        delete(Result).where(Result.series_instance_uid == series_instance_uid),
        delete(Instance).where(Instance.series_instance_uid == series_instance_uid),
        delete(Search).where(Search.series_instance_uid == series_instance_uid),
        delete(Series).where(Series.series_instance_uid == series_instance_uid),
    ):
        session.execute(statement)
