"""Keep what other systems say of the instances of series: steps, work items, availability.

A row is kept for a week after its latest change, and fewer of them where too many come: the
closing of a series needs them for minutes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Select, bindparam, case, delete, func, select
from sqlalchemy.orm import Session

from storage.database.schema import Notification, NotifiedSeries, Series
from storage.states import SeriesState

KEEP = timedelta(days=7)  #: after the latest change; a series is complete long before
MAXIMUM_NOTIFICATIONS = 10_000  #: of all senders together; the oldest make room
MAXIMUM_OF_SENDER = 2_000  #: of one AE title; with more, its own oldest make room
MAXIMUM_NAMED = 200_000
"""Instances that all of them name: a busy day's. Closed series make room, then the oldest."""


NamedVersion = frozenset[tuple[str, datetime]]
"""Of what is named of a series: the notifications, and when each changed last."""


class NotificationKind(StrEnum):
    """The service by which a notification came."""

    PROCEDURE_STEP = "mpps"  #: Modality Performed Procedure Step, PS3.4 Annex F
    WORK_ITEM = "ups"  #: input of a work item that was claimed, PS3.4 Annex CC
    AVAILABILITY = "ian"  #: Instance Availability Notification, PS3.4 Annex R


class NotificationState(StrEnum):
    """Performed Procedure Step Status (0040,0252); AVAILABLE of the other kinds."""

    IN_PROGRESS = "in progress"
    COMPLETED = "completed"
    DISCONTINUED = "discontinued"
    AVAILABLE = "available"


FINAL = frozenset(NotificationState) - {NotificationState.IN_PROGRESS}
"""States after which nothing may change (PS3.4 F.7.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedInstances:
    """Instances of one series that a notification names.

    Attributes
    ----------
    changed_at
        When the notification came, or changed last.
    """

    kind: NotificationKind
    state: NotificationState
    instances: frozenset[str]
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notification as it came.

    Attributes
    ----------
    series
        Series Instance UID to SOP Instance UIDs; None leaves what was named before.
    """

    sop_instance_uid: str
    kind: NotificationKind
    state: NotificationState
    calling_ae: str
    series: Mapping[str, Sequence[str]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNotification:
    """A notification that has come, and where it stands."""

    kind: NotificationKind
    state: NotificationState
    calling_ae: str


class TooManyNamed(Exception):
    """One notification names more instances than all may."""


def notification(session: Session, sop_instance_uid: str) -> KnownNotification | None:
    """Find a notification, locked against changes by others; None if it is not known."""
    row = session.get(Notification, sop_instance_uid, with_for_update=True, populate_existing=True)
    if row is None:
        return None
    return KnownNotification(
        kind=NotificationKind(row.kind),
        state=NotificationState(row.status),
        calling_ae=row.calling_ae,
    )


def keep_notice(session: Session, notice: Notice, now: datetime) -> None:
    """Keep a new notification, or the change of one.

    Raises
    ------
    TooManyNamed
        If it names more instances than there is room for.
    """
    named = {uid: sorted(set(instances)) for uid, instances in (notice.series or {}).items()}
    size = sum(map(len, named.values()))
    if size > MAXIMUM_NAMED:
        raise TooManyNamed(f"it names more than {MAXIMUM_NAMED} instances")
    row = session.get(Notification, notice.sop_instance_uid)
    if row is None:
        _make_room(session, notice.calling_ae, now)
        row = Notification(
            sop_instance_uid=notice.sop_instance_uid,
            kind=notice.kind,
            calling_ae=notice.calling_ae,
            received_at=now,
        )
        session.add(row)
    row.status, row.changed_at = notice.state, now
    session.flush()
    if notice.series is None:
        return
    _forget_named(session, [notice.sop_instance_uid])
    _make_room_for_named(session, size)
    session.add_all(
        NotifiedSeries(
            notification_uid=notice.sop_instance_uid,
            series_instance_uid=uid,
            instances=json.dumps(instances),
            count=len(instances),
        )
        for uid, instances in named.items()
    )
    session.flush()


def named_instances(session: Session, series_instance_uid: str) -> tuple[NamedInstances, ...]:
    """List what notifications say of a series."""
    rows = session.execute(
        select(
            Notification.kind,
            Notification.status,
            NotifiedSeries.instances,
            Notification.changed_at,
        )
        .join(Notification, Notification.sop_instance_uid == NotifiedSeries.notification_uid)
        .where(NotifiedSeries.series_instance_uid == series_instance_uid)
        .order_by(Notification.received_at, Notification.sop_instance_uid)
    )
    return tuple(
        NamedInstances(
            kind=NotificationKind(kind),
            state=NotificationState(state),
            instances=frozenset(json.loads(instances)),
            changed_at=changed_at,
        )
        for kind, state, instances, changed_at in rows
    )


def forget_old(session: Session, now: datetime) -> None:
    """Remove the notifications that have not changed for a week."""
    row = Notification
    _forget(session, select(row.sop_instance_uid).where(row.changed_at < now - KEEP))


def named_lately(session: Session) -> dict[str, NamedVersion]:
    """Tell of which open series notifications name instances, and of what version that is."""
    row = NotifiedSeries
    rows = session.execute(
        select(row.series_instance_uid, row.notification_uid, Notification.changed_at)
        .join(Notification, Notification.sop_instance_uid == row.notification_uid)
        .join(Series, Series.series_instance_uid == row.series_instance_uid)
        .where(Series.state == SeriesState.RECEIVING)
    )
    versions: dict[str, set[tuple[str, datetime]]] = defaultdict(set)
    for series, notification_uid, changed_at in rows:
        versions[series].add((notification_uid, changed_at))
    return {series: frozenset(version) for series, version in versions.items()}


def _make_room(session: Session, calling_ae: str, now: datetime) -> None:
    """Make room for one more: remove what is old, and too much: of the sender, then of all."""
    row = Notification
    forget_old(session, now)
    for most, chosen in (
        (MAXIMUM_OF_SENDER, select(row.sop_instance_uid).where(row.calling_ae == calling_ae)),
        (MAXIMUM_NOTIFICATIONS, select(row.sop_instance_uid)),
    ):
        count = session.scalar(select(func.count()).select_from(chosen.subquery())) or 0
        if count >= most:
            _forget(session, chosen.order_by(row.changed_at).limit(count - most + 1))


def _make_room_for_named(session: Session, size: int) -> None:
    """Forget what was named of closed series, then what was named first, until there is room."""
    row = NotifiedSeries
    excess = size - MAXIMUM_NAMED + (session.scalar(select(func.sum(row.count))) or 0)
    if excess <= 0:
        return
    is_closed = Series.state != SeriesState.RECEIVING
    chosen = session.execute(
        select(row.notification_uid, row.series_instance_uid, row.count)
        .join(Notification, Notification.sop_instance_uid == row.notification_uid)
        .outerjoin(Series, Series.series_instance_uid == row.series_instance_uid)
        .order_by(case((is_closed, 0), else_=1), Notification.changed_at, row.notification_uid)
    )
    forgotten = []
    for notification_uid, series_instance_uid, count in chosen:
        if excess <= 0:
            break
        excess -= count
        forgotten.append({"notification": notification_uid, "series": series_instance_uid})
    session.connection().execute(
        delete(row).where(
            row.notification_uid == bindparam("notification"),
            row.series_instance_uid == bindparam("series"),
        ),
        forgotten,
    )


def _forget(session: Session, chosen: Select[str]) -> None:
    uids = list(session.scalars(chosen))
    if uids:
        _forget_named(session, uids)
        session.execute(delete(Notification).where(Notification.sop_instance_uid.in_(uids)))


def _forget_named(session: Session, uids: Sequence[str]) -> None:
    session.execute(delete(NotifiedSeries).where(NotifiedSeries.notification_uid.in_(uids)))
