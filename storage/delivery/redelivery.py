"""Redeliver results on an operator's request.

Refused deliveries, and those still pending, go on as they are. To a destination that was replaced
by another of its name, deliveries begin anew: what the one before got says nothing of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, delete, func, select, true, update
from sqlalchemy.orm import Session

from storage.database.schema import CommitmentItem, Delivery, Result, ResultObject, Series
from storage.delivery.series_completion import record_deliveries, remarks
from storage.files.folder import StorageFolder
from storage.series.lifecycle import advance, chosen_series, locked
from storage.states import DeliveryState, SeriesState

RESUMED = (DeliveryState.REFUSED, DeliveryState.PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redelivery:
    """What is sent again: numbers of objects, by Series Instance UID and destination.

    Attributes
    ----------
    due
        Are sent again.
    missing
        Cannot be: their files are not there.
    """

    due: Counter[tuple[str, str]]
    missing: Counter[tuple[str, str]]


def redeliver(
    session: Session,
    now: datetime,
    *,
    folder: StorageFolder,
    destinations: Sequence[str],
    series: Sequence[str] = (),
    study: str | None = None,
) -> Redelivery:
    """Make the refused and pending deliveries of results due, with their attempts reset.

    A series that failed because results were refused is ENCODED again; one whose analysis failed
    stays FAILED, although its notice, or an earlier result, may be delivered. What has no file
    stays as it is.

    Parameters
    ----------
    folder
        The storage folder, in which the files of results are.
    series, study
        Series or Study Instance UIDs; all series whose results are kept, if neither is given.
    """
    named = bool(series) or study is not None
    rows = session.execute(
        select(
            Delivery.id,
            Delivery.destination,
            Result.key,
            Result.series_instance_uid,
            ResultObject.path,
        )
        .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
        .join(Result)
        .join(Series, Series.series_instance_uid == Result.series_instance_uid)
        .where(Delivery.state.in_(RESUMED), Delivery.destination.in_(destinations))
        .where(true() if named else Result.purged_at.is_(None), chosen_series(series, study))
    ).all()
    absent = folder.absent(row.path for row in rows)
    there = [row for row in rows if row.path not in absent]
    for uid, key in sorted({(row.series_instance_uid, row.key) for row in there}):
        _reopen(session, uid, key, now)
    resumed = session.scalars(
        update(Delivery)
        .where(Delivery.id.in_([row.id for row in there]), Delivery.state.in_(RESUMED))
        .values(
            state=DeliveryState.PENDING,
            next_at=now,
            first_at=now,
            attempts=0,
            reason="",
            unanswered=False,
        )
        .returning(Delivery.id)
    ).all()
    return Redelivery(
        due=Counter(_whence(row) for row in there if row.id in resumed),
        missing=Counter(_whence(row) for row in rows if row not in there),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunAnew:
    """What a replaced destination gets once more.

    Attributes
    ----------
    results, objects
        Numbers of what is sent.
    missing
        Series whose results are not kept any more.
    sending
        Series left alone, for some of them is being sent there: to be tried again.
    """

    results: int
    objects: int
    missing: tuple[str, ...]
    sending: tuple[str, ...]


def series_with_results(session: Session, since: datetime) -> list[tuple[str, datetime]]:
    """List the series whose latest results were made since a time, and when; the oldest first."""
    rows = session.execute(
        select(Series.series_instance_uid, Result.created_at)
        .join(Result, Result.key == Series.result_key)
        .where(Result.created_at >= since, Result.begun_on == "")
        .order_by(Result.created_at, Result.key)
    )
    return [(uid, made) for uid, made in rows]


def begin_anew(
    session: Session,
    series: Sequence[str],
    destination: str,
    *,
    folder: StorageFolder,
    now: datetime,
    kinds: Collection[str] = (),
) -> BegunAnew:
    """Deliver the latest results of series once more, to a destination that was replaced.

    A series of which something is being sent there is left alone: it goes to the destination of
    before. One that was delivered, or failed by its deliveries, is ENCODED again.

    Parameters
    ----------
    folder
        The storage folder, in which the files of results are.
    kinds
        Of object that the destination gets; empty for all.
    """
    results, objects, missing, sending = 0, 0, list[str](), list[str]()
    for uid in series:
        row = locked(session, uid)
        key = row.result_key
        if key is None or not _is_kept(session, key, folder):
            missing.append(uid)
            continue
        deliveries = _lock_deliveries(session, uid, destination)
        if deliveries is None:
            sending.append(uid)
            continue
        _reopen(session, uid, key, now)
        if row.state is SeriesState.DELIVERED:
            advance(session, uid, old=SeriesState.DELIVERED, new=SeriesState.ENCODED, now=now)
        _forget(session, deliveries)
        record_deliveries(session, key, {destination: kinds}, now, again=True)
        results += 1
        objects += _pending(session, key, destination)
    return BegunAnew(
        results=results, objects=objects, missing=tuple(missing), sending=tuple(sending)
    )


def _is_kept(session: Session, key: str, folder: StorageFolder) -> bool:
    """Say whether the files of a result are there."""
    purged_at = session.get_one(Result, key, populate_existing=True).purged_at
    paths = session.scalars(select(ResultObject.path).where(ResultObject.result_key == key))
    return purged_at is None and not folder.absent(paths)


def _lock_deliveries(session: Session, uid: str, destination: str) -> list[int] | None:
    """Lock the deliveries of a series to a destination; None if one is being sent, or changed.

    The series is locked already, and whoever changes deliveries locks them before it: waiting for
    them here might never end.
    """
    deliveries = (
        select(Delivery.id, Delivery.state)
        .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
        .join(Result)
        .where(
            Result.series_instance_uid == uid,
            Delivery.destination == destination,
            ResultObject.only_for == "",
        )
    )
    got = session.execute(deliveries.with_for_update(of=Delivery, skip_locked=True)).all()
    count = session.scalar(select(func.count()).select_from(deliveries.subquery()))
    if len(got) != count or any(row.state is DeliveryState.SENDING for row in got):
        return None
    return [row.id for row in got]


def _forget(session: Session, deliveries: Sequence[int]) -> None:
    """Delete deliveries that are locked, and what their destination was asked to commit to."""
    session.execute(delete(CommitmentItem).where(CommitmentItem.delivery_id.in_(deliveries)))
    session.execute(delete(Delivery).where(Delivery.id.in_(deliveries)))


def _pending(session: Session, key: str, destination: str) -> int:
    rows = select(func.count()).select_from(Delivery).join(ResultObject)
    return (
        session.scalar(
            rows.where(
                ResultObject.result_key == key,
                Delivery.destination == destination,
                Delivery.state == DeliveryState.PENDING,
            )
        )
        or 0
    )


def _whence(row: Row[int, str, str, str, str]) -> tuple[str, str]:
    return row.series_instance_uid, row.destination


def _reopen(session: Session, uid: str, key: str, now: datetime) -> None:
    """Move a series back to ENCODED if it failed because of its deliveries."""
    row = locked(session, uid)
    if row.state is not SeriesState.FAILED or row.result_key != key:
        return
    if row.reason == remarks(session, key, DeliveryState.REFUSED):
        advance(session, uid, old=SeriesState.FAILED, new=SeriesState.ENCODED, now=now)
