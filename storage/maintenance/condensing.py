"""Condense rows of which the files are gone, and forget series of long ago.

Of a series whose files retention has removed, the rows of its instances become one (digests by
which an instance that comes again is known), and those of the objects of a result one for each
series of objects and destination. Statistics, comparisons with later studies, documents, what
superseding and rejection notes name, and what readers have answered to, stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Row, Select, delete, exists, func, or_, select, true, tuple_
from sqlalchemy.orm import Session, aliased

from storage.database.batches import batched
from storage.database.schema import (
    Commitment,
    CommitmentItem,
    CondensedInstances,
    Delivery,
    Feedback,
    FeedbackSubject,
    Instance,
    Result,
    ResultObject,
    Series,
)
from storage.maintenance.purge import SETTLED, erase_rows
from storage.maintenance.retention import ENDS
from storage.results.condensed_objects import can_be_packed, pack_uids
from storage.series.condensed.entries import entries_of, pack, unpack
from storage.series.lifecycle import locked
from storage.states import DeliveryState

InstanceRow = Row[str, str, str, datetime, datetime | None, bool]
"""SOP Instance UID, digest, SOP class, times of reception and of removal, and if superseded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condensed:
    """Numbers of rows that were condensed into others."""

    instances: int = 0
    objects: int = 0


class Place(NamedTuple):
    """The place of a series in a list by time: what follows it is listed next."""

    at: datetime
    series_instance_uid: str


def condensable(
    session: Session, before: datetime, limit: int, *, after: Place | None = None
) -> list[Place]:
    """List series with instances to condense, by the times when their files went, before a time.

    What can never be condensed is left out, so that it holds up nothing: documents, instances that
    an answer names, and series of which a result is kept.
    """
    uid, at = Instance.series_instance_uid, Instance.purged_at
    ended = exists().where(  # not a join, which SQLite would begin with all series
        Series.series_instance_uid == uid, *_has_ended(), ~Series.of_documents
    )
    kept = exists().where(
        Result.series_instance_uid == uid,
        or_(Result.purged_at.is_(None), Result.purged_at >= before),
    )
    named = exists().where(FeedbackSubject.uid == Instance.sop_instance_uid)
    rows = session.execute(
        select(at, uid)
        .where(at.is_not(None), at < before, ended, ~kept, ~named)
        .where(tuple_(at, uid) > tuple_(*after) if after else true())
        .order_by(at, uid)
        .distinct()
        .limit(limit)
    )
    return [Place(gone_at, series) for gone_at, series in rows if gone_at is not None]


def condense(session: Session, series_instance_uid: str, before: datetime) -> Condensed:
    """Condense the rows of a series, if all of its files went before a time, and all has ended.

    Documents keep their rows; so does what a reader's answer names.
    """
    if not _may_be_condensed(session, series_instance_uid, before):
        return Condensed()
    return Condensed(
        instances=_condense_instances(session, series_instance_uid),
        objects=_condense_objects(session, series_instance_uid),
    )


def forgettable(
    session: Session, before: datetime, limit: int, *, after: Place | None = None
) -> list[Place]:
    """List series that ended before a time, and of which no file is kept; the oldest first.

    Documents whose answers stand stay as long as what they name: images that a reader has rejected
    would count again.
    """
    since, uid = Series.since, Series.series_instance_uid
    rows = session.execute(
        select(since, uid)
        .where(*_forgettable(before))
        .where(tuple_(since, uid) > tuple_(*after) if after else true())
        .order_by(since, uid)
        .limit(limit)
    )
    return [Place(ended_at, series) for ended_at, series in rows]


def forget_series(
    session: Session,
    series: Sequence[str],
    before: datetime,
    keep: Callable[[Session, Sequence[str]], None],
) -> list[str]:
    """Delete all rows of series that are still forgettable; return which these were.

    Parameters
    ----------
    keep
        Is called with those series before, in the same transaction: takes out of their rows what
        is to stay.
    """
    known = Series.series_instance_uid
    those = select(known).where(known.in_(series)).order_by(known)
    session.execute(those.with_for_update()).all()
    chosen = [
        uid
        for uid in session.scalars(those.where(*_forgettable(before)))
        if _lock_deliveries(session, uid)
    ]
    keep(session, chosen)
    for uid in chosen:
        erase_rows(session, uid)
    return chosen


def _forgettable(before: datetime) -> list[ColumnElement[bool]]:
    uid = Series.series_instance_uid
    under_way = (
        select(Delivery.id)
        .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
        .join(Result, Result.key == ResultObject.result_key)
        .where(Result.series_instance_uid == uid, Delivery.state.not_in(SETTLED))
    )
    return [
        *_has_ended(),
        Series.since < before,
        Series.last_at < before,
        *(
            ~exists().where(table.series_instance_uid == uid, table.purged_at.is_(None))
            for table in (Instance, Result)
        ),
        ~under_way.exists(),
        ~_is_said_of_others().exists(),
    ]


def _is_said_of_others() -> Select[int]:
    """Select the standing answers in documents of a series to what is still here of others."""
    uid, subject = Feedback.series_instance_uid, FeedbackSubject.uid
    named = aliased(Series)
    images = select(Instance.series_instance_uid).where(Instance.sop_instance_uid == subject)
    objects = (
        select(Result.series_instance_uid)
        .join(ResultObject, ResultObject.result_key == Result.key)
        .where(
            or_(
                ResultObject.series_instance_uid == subject,
                ResultObject.sop_instance_uid == subject,
            )
        )
    )
    return (
        select(Feedback.id)
        .join(FeedbackSubject)
        .where(
            uid == Series.series_instance_uid,
            ~Feedback.superseded,
            or_(
                exists().where(named.series_instance_uid == subject, subject != uid),
                images.where(Instance.series_instance_uid != uid).exists(),
                objects.where(Result.series_instance_uid != uid).exists(),
            ),
        )
        .correlate(Series)
    )


def _has_ended() -> list[ColumnElement[bool]]:
    return [Series.state.in_(ENDS), Series.rerun.is_(None), ~Series.purging]


def _may_be_condensed(session: Session, uid: str, before: datetime) -> bool:
    row = locked(session, uid)
    if row.of_documents or row.state not in ENDS or row.rerun is not None or row.purging:
        return False
    for table in (Instance, Result):
        gone = session.scalars(
            select(table.purged_at).where(table.series_instance_uid == uid).distinct()
        ).all()
        if any(at is None or at >= before for at in gone):
            return False
    under_way = _deliveries(uid).where(Delivery.state.not_in(SETTLED))
    return _lock_deliveries(session, uid) and not session.scalar(select(under_way.exists()))


def _lock_deliveries(session: Session, uid: str) -> bool:
    """Lock the deliveries of a series; say whether nobody else changes one.

    The series is locked already, and whoever changes deliveries locks them before it: waiting for
    them here might never end.
    """
    count = select(func.count()).select_from(_deliveries(uid).subquery())
    got = session.execute(_deliveries(uid).with_for_update(of=Delivery, skip_locked=True)).all()
    return len(got) == session.scalar(count)


def _deliveries(uid: str) -> Select[str, str, DeliveryState, str]:
    return (
        select(Delivery.sop_instance_uid, Delivery.destination, Delivery.state, Delivery.reason)
        .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
        .join(Result, Result.key == ResultObject.result_key)
        .where(Result.series_instance_uid == uid)
    )


def _condense_instances(session: Session, uid: str) -> int:
    rows = session.execute(
        select(
            Instance.sop_instance_uid,
            Instance.digest,
            Instance.sop_class_uid,
            Instance.received_at,
            Instance.purged_at,
            Instance.superseded,
        ).where(Instance.series_instance_uid == uid)
    ).all()
    named = _named(session, {row.sop_instance_uid for row in rows})
    rows = [row for row in rows if row.sop_instance_uid not in named]
    groups: dict[tuple[str, datetime], list[InstanceRow]] = defaultdict(list)
    for row in rows:
        if (
            row.purged_at is not None and not row.superseded
        ):  # whatever bytes come again then, they are others than those in use
            groups[row.sop_class_uid, row.purged_at].append(row)
    for (sop_class, purged_at), group in groups.items():
        _add_entries(session, (uid, sop_class, purged_at), group)
    of_series = delete(Instance).where(Instance.series_instance_uid == uid)
    for batch in batched(sorted({row.sop_instance_uid for row in rows})):
        session.execute(of_series.where(Instance.sop_instance_uid.in_(batch)))
    return len(rows)


def _add_entries(
    session: Session,
    key: tuple[str, str, datetime],
    rows: Sequence[InstanceRow],
) -> None:
    series, sop_class, purged_at = key
    received_at = max(row.received_at for row in rows)
    entries = entries_of((row.sop_instance_uid, row.digest) for row in rows)
    known = session.get(CondensedInstances, key, populate_existing=True)
    if known is None:
        known = CondensedInstances(
            series_instance_uid=series,
            sop_class_uid=sop_class,
            purged_at=purged_at,
            received_at=received_at,
        )
        session.add(known)
    else:
        entries = unpack(known.entries) | entries
    known.received_at = max(known.received_at, received_at)
    known.entries, known.count = pack(entries), len(entries)
    session.flush()


def _condense_objects(session: Session, uid: str) -> int:
    """Condense the objects of each result that are alike, and went the same way."""
    fates: dict[str, set[tuple[str, DeliveryState, str]]] = defaultdict(set)
    for sop_instance_uid, destination, state, reason in session.execute(_deliveries(uid)):
        fates[sop_instance_uid].add((destination, state, reason))
    objects = session.scalars(
        select(ResultObject)
        .join(Result)
        .where(Result.series_instance_uid == uid)
        .order_by(ResultObject.result_key, ResultObject.position)
    ).all()
    named = _named(session, {row.sop_instance_uid for row in objects})
    alike: dict[tuple[object, ...], list[ResultObject]] = defaultdict(list)
    for row in objects:
        fate = frozenset(fates[row.sop_instance_uid])
        kind = (row.result_key, row.series_instance_uid, row.kind, row.sop_class_uid, row.only_for)
        alike[*kind, fate].append(row)
    condensed = 0
    for first, *others in alike.values():
        gone = [
            row.sop_instance_uid
            for row in others
            if row.further is None
            and row.sop_instance_uid not in named
            and can_be_packed(row.sop_instance_uid)
        ]
        if gone:
            first.further = (first.further or b"") + pack_uids(gone)
            session.flush()
            _delete_items(session, [first.sop_instance_uid, *gone])  # no answer is of all of them
            _delete_objects(session, gone)
            condensed += len(gone)
    return condensed


def _delete_objects(session: Session, uids: Sequence[str]) -> None:
    """Delete rows of objects, and their deliveries."""
    for batch in batched(uids):
        session.execute(delete(Delivery).where(Delivery.sop_instance_uid.in_(batch)))
        session.execute(delete(ResultObject).where(ResultObject.sop_instance_uid.in_(batch)))


def _delete_items(session: Session, uids: Sequence[str]) -> None:
    """Delete the items of objects in requests for commitment, and requests for nothing else."""
    for batch in batched(uids):
        deliveries = select(Delivery.id).where(Delivery.sop_instance_uid.in_(batch))
        of_deliveries = CommitmentItem.delivery_id.in_(deliveries)
        requests = session.scalars(
            select(CommitmentItem.transaction_uid).where(of_deliveries).distinct()
        ).all()
        session.execute(delete(CommitmentItem).where(of_deliveries))
        items = exists().where(CommitmentItem.transaction_uid == Commitment.transaction_uid)
        session.execute(delete(Commitment).where(Commitment.transaction_uid.in_(requests), ~items))


def _named(session: Session, uids: Collection[str]) -> set[str]:
    """Find those of some SOP Instance UIDs that a reader's answer names."""
    return {
        uid
        for batch in batched(sorted(uids))
        for uid in session.scalars(
            select(FeedbackSubject.uid).where(FeedbackSubject.uid.in_(batch))
        )
    }
