"""Rows of the work items that this node performs for a worklist manager.

All functions work in the caller's transaction. What the manager is told is entered before it is
told where it could not be repeated otherwise (the claim, the end), and after it where it can.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from storage.database.batches import batched
from storage.database.work_item_tables import WorkItem, WorkItemSeries
from storage.errors import StaleState
from storage.states import WORK_ITEM_STEPS, WorkItemState

W = WorkItemState

KEEP = timedelta(days=30)  #: of work items that have ended, after their end
MAXIMUM_ENDED = 5_000  #: that have ended and are kept
WHOLE = 100  #: percentage of progress at the end
OPEN = frozenset({W.CLAIMING, W.CLAIMED, W.COMPLETING, W.CANCELING})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItemInput:
    """A series that a work item has as its input.

    Attributes
    ----------
    study_instance_uid, series_instance_uid
        Empty once the series was erased.
    named
        SOP Instance UIDs that the work item names; empty if it names the series only.
    """

    study_instance_uid: str
    series_instance_uid: str
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItemRow:
    """A work item; attributes as in :class:`storage.database.work_item_tables.WorkItem`."""

    sop_instance_uid: str
    transaction_uid: str
    state: WorkItemState
    claimed_at: datetime
    since: datetime
    told: int
    attempts: int
    next_at: datetime
    cancel_requested_at: datetime | None
    code: str
    reason: str
    inputs: tuple[WorkItemInput, ...]


def record_claim(
    session: Session, uid: str, transaction_uid: str, inputs: Iterable[WorkItemInput], now: datetime
) -> None:
    """Record a work item that is about to be claimed."""
    session.add(
        WorkItem(
            sop_instance_uid=uid,
            transaction_uid=transaction_uid,
            claimed_at=now,
            since=now,
            next_at=now,
        )
    )
    session.flush()
    session.add_all(
        WorkItemSeries(
            work_item_uid=uid,
            series_instance_uid=one.series_instance_uid,
            study_instance_uid=one.study_instance_uid,
            named=json.dumps(one.named),
        )
        for one in inputs
    )
    session.flush()


def open_work_items(session: Session) -> list[WorkItemRow]:
    """List the work items that have not ended, the first claimed first."""
    rows = session.scalars(
        select(WorkItem)
        .where(WorkItem.state.in_(OPEN))
        .order_by(WorkItem.claimed_at, WorkItem.sop_instance_uid)
    ).all()
    return _with_inputs(session, rows)


def latest_work_items(session: Session, limit: int) -> list[WorkItemRow]:
    """List the work items that have not ended, and the latest that have: the latest first."""
    ended = session.scalars(
        select(WorkItem)
        .where(WorkItem.state.not_in(OPEN))
        .order_by(WorkItem.since.desc(), WorkItem.sop_instance_uid)
        .limit(limit)
    ).all()
    return [*open_work_items(session)[::-1], *_with_inputs(session, ended)]


def known_work_items(session: Session, uids: Collection[str]) -> set[str]:
    """List those of some work items that have been chosen before."""
    return set(
        session.scalars(
            select(WorkItem.sop_instance_uid).where(WorkItem.sop_instance_uid.in_(uids))
        )
    )


def count_open(session: Session) -> dict[WorkItemState, int]:
    """Count the work items that have not ended, by state."""
    rows = session.execute(
        select(WorkItem.state, func.count())
        .where(WorkItem.state.in_(OPEN))
        .group_by(WorkItem.state)
    )
    return dict(rows.all())


def advance_work_item(
    session: Session,
    item: WorkItemRow,
    new: WorkItemState,
    now: datetime,
    *,
    reason: str = "",
    code: str = "",
) -> None:
    """Move a work item to another state: the only writer of it.

    Raises
    ------
    ValueError
        If `WORK_ITEM_STEPS` has no such step (a bug of the caller).
    StaleState
        If it is in another state by now.
    """
    if new not in WORK_ITEM_STEPS[item.state]:
        raise ValueError(f"no step from {item.state} to {new}")
    uid = session.scalar(
        update(WorkItem)
        .where(WorkItem.sop_instance_uid == item.sop_instance_uid, WorkItem.state == item.state)
        .values(
            state=new,
            told=WHOLE if new is W.COMPLETED else WorkItem.told,
            since=now,
            attempts=0,
            next_at=now,
            reason=reason or item.reason,
            code=code or item.code,
        )
        .returning(WorkItem.sop_instance_uid)
    )
    if uid is None:
        raise StaleState(f"expected work item {item.sop_instance_uid} to be {item.state}")


def postpone_work_item(session: Session, uid: str, next_at: datetime) -> None:
    """Enter that the manager refused the next step, and when it is tried again."""
    session.execute(
        update(WorkItem)
        .where(WorkItem.sop_instance_uid == uid)
        .values(attempts=WorkItem.attempts + 1, next_at=next_at)
    )


def record_told(session: Session, uid: str, percent: int) -> None:
    """Enter what progress the manager was told."""
    session.execute(
        update(WorkItem).where(WorkItem.sop_instance_uid == uid).values(told=percent, attempts=0)
    )


def request_cancellation(session: Session, uid: str, now: datetime) -> bool:
    """Enter a request to cancel a work item; False if none that is open has that UID."""
    row = session.get(WorkItem, uid, with_for_update=True, populate_existing=True)
    if row is None or row.state not in OPEN:
        return False
    row.cancel_requested_at = row.cancel_requested_at or now
    session.flush()
    return True


def withdraw_claim(session: Session, uid: str) -> None:
    """Remove a work item whose claim was refused, and which nobody has."""
    session.execute(delete(WorkItemSeries).where(WorkItemSeries.work_item_uid == uid))
    session.execute(delete(WorkItem).where(WorkItem.sop_instance_uid == uid))


def forget_ended(session: Session, now: datetime) -> None:
    """Remove the work items that ended a month ago, and all but the latest that have ended."""
    ended = (
        select(WorkItem.sop_instance_uid)
        .where(WorkItem.state.not_in(OPEN))
        .order_by(WorkItem.since.desc(), WorkItem.sop_instance_uid)
    )
    for chosen in (ended.where(WorkItem.since < now - KEEP), ended.offset(MAXIMUM_ENDED)):
        for uids in batched(list(session.scalars(chosen))):
            session.execute(delete(WorkItemSeries).where(WorkItemSeries.work_item_uid.in_(uids)))
            session.execute(delete(WorkItem).where(WorkItem.sop_instance_uid.in_(uids)))


def _with_inputs(session: Session, rows: Sequence[WorkItem]) -> list[WorkItemRow]:
    inputs = _inputs(session, [row.sop_instance_uid for row in rows])
    return [
        WorkItemRow(
            sop_instance_uid=row.sop_instance_uid,
            transaction_uid=row.transaction_uid,
            state=row.state,
            claimed_at=row.claimed_at,
            since=row.since,
            told=row.told,
            attempts=row.attempts,
            next_at=row.next_at,
            cancel_requested_at=row.cancel_requested_at,
            code=row.code,
            reason=row.reason,
            inputs=tuple(inputs.get(row.sop_instance_uid, ())),
        )
        for row in rows
    ]


def _inputs(session: Session, uids: Collection[str]) -> Mapping[str, list[WorkItemInput]]:
    found: dict[str, list[WorkItemInput]] = defaultdict(list)
    rows = session.scalars(
        select(WorkItemSeries)
        .where(WorkItemSeries.work_item_uid.in_(uids))
        .order_by(WorkItemSeries.work_item_uid, WorkItemSeries.series_instance_uid)
    )
    for row in rows:
        found[row.work_item_uid].append(
            WorkItemInput(
                study_instance_uid=row.study_instance_uid,
                series_instance_uid=row.series_instance_uid,
                named=tuple(json.loads(row.named)),
            )
        )
    return found
