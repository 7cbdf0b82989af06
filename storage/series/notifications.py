"""Keep what other systems say of the instances of series: performed steps, and availability.

A row is kept for a week after its latest change, and fewer of them where too many come.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from storage.database.schema import Notification, NotifiedSeries

KEEP = timedelta(days=7)  #: after the latest change; a series is complete long before
MAXIMUM_NOTIFICATIONS = 10_000  #: of all senders together; the oldest make room
MAXIMUM_OF_SENDER = 2_000  #: of one AE title; with more, its own oldest make room
MAXIMUM_NAMED = 1_000_000  #: instances that all of them name; more are refused


class NotificationKind(StrEnum):
    """The service by which a notification came."""

    PROCEDURE_STEP = "mpps"  #: Modality Performed Procedure Step, PS3.4 Annex F
    AVAILABILITY = "ian"  #: Instance Availability Notification, PS3.4 Annex R


class NotificationState(StrEnum):
    """Performed Procedure Step Status (0040,0252); AVAILABLE of an availability notification."""

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
    """All notifications together name too many instances."""


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
        If it names more instances than there is room for; the caller's transaction must not stand.
    """
    _make_room(session, notice.calling_ae, now)
    row = session.get(Notification, notice.sop_instance_uid)
    if row is None:
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
    named = session.scalar(select(func.coalesce(func.sum(NotifiedSeries.count), 0))) or 0
    if named + sum(map(len, notice.series.values())) > MAXIMUM_NAMED:
        raise TooManyNamed(f"notifications name more than {MAXIMUM_NAMED} instances")
    for uid, instances in notice.series.items():
        distinct = sorted(set(instances))
        session.add(
            NotifiedSeries(
                notification_uid=notice.sop_instance_uid,
                series_instance_uid=uid,
                instances=json.dumps(distinct),
                count=len(distinct),
            )
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


def _make_room(session: Session, calling_ae: str, now: datetime) -> None:
    """Remove what is old, and what is too much: of the sender, then of all."""
    row = Notification
    _forget(session, select(row.sop_instance_uid).where(row.changed_at < now - KEEP))
    for most, chosen in (
        (MAXIMUM_OF_SENDER, select(row.sop_instance_uid).where(row.calling_ae == calling_ae)),
        (MAXIMUM_NOTIFICATIONS, select(row.sop_instance_uid)),
    ):
        count = session.scalar(select(func.count()).select_from(chosen.subquery())) or 0
        if count >= most:
            _forget(session, chosen.order_by(row.changed_at).limit(count - most + 1))


def _forget(session: Session, chosen: Select[str]) -> None:
    uids = list(session.scalars(chosen))
    if uids:
        _forget_named(session, uids)
        session.execute(delete(Notification).where(Notification.sop_instance_uid.in_(uids)))


def _forget_named(session: Session, uids: Sequence[str]) -> None:
    session.execute(delete(NotifiedSeries).where(NotifiedSeries.notification_uid.in_(uids)))
