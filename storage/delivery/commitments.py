"""Whether destinations keep what they accepted: asked for, answered, given up.

They are asked by storage commitment (PS3.4 Annex J), or by query. A delivery is UNCOMMITTED from
its acceptance to the answer, and its series is not DELIVERED until then. A destination that never
answers holds nothing up for ever: after so many requests the delivery is ACCEPTED, with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from storage.database.schema import (
    Commitment,
    CommitmentItem,
    Delivery,
    Result,
    ResultObject,
    Series,
)
from storage.delivery.conclusion import conclude
from storage.states import CommitmentState, DeliveryState, SeriesState

D = DeliveryState

LIMIT = 500  #: most objects in one request


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a destination says of a request.

    Attributes
    ----------
    committed
        SOP Instance UIDs.
    failed
        SOP Instance UID to Failure Reason (PS3.3 C.14.1.1).
    means
        How it was asked.
    """

    transaction_uid: str
    committed: Collection[str] = frozenset()
    failed: Mapping[str, int] = field(default_factory=dict)
    means: str = "storage commitment"


def accept_uncommitted(session: Session, destination: str, reason: str, now: datetime) -> int:
    """Take acceptance for enough: UNCOMMITTED to ACCEPTED; return how many deliveries."""
    waiting = select(Delivery.id).where(
        Delivery.destination == destination, Delivery.state == D.UNCOMMITTED
    )
    return _accept(session, session.scalars(waiting).all(), reason, now)


def give_up(session: Session, destination: str, now: datetime, *, requests: int, means: str) -> int:
    """Ask no more for what so many requests were made for; return how many deliveries.

    They are ACCEPTED, with the reason.
    """
    asked = {each.id: _requests(session, each) for each in _due(session, destination, now)}
    tired = [delivery for delivery, count in asked.items() if count >= requests]
    reason = f"no answer to {requests} requests for {means}"
    return _accept(session, tired, reason, now)


def ask(
    session: Session, destination: str, now: datetime, *, transaction_uid: str, again_at: datetime
) -> list[tuple[str, str]]:
    """Enter a request for what is due to be asked for, before it is made.

    Parameters
    ----------
    again_at
        When to ask for the same again, if there is no answer.

    Returns
    -------
    list
        SOP Class UID and SOP Instance UID of each object; empty if there is nothing to ask for.
    """
    deliveries = _due(session, destination, now)
    if not deliveries:
        return []
    session.add(
        Commitment(transaction_uid=transaction_uid, destination=destination, requested_at=now)
    )
    session.flush()
    for delivery in deliveries:
        delivery.next_at, delivery.reason = again_at, ""
        session.add(CommitmentItem(transaction_uid=transaction_uid, delivery_id=delivery.id))
    uids = [delivery.sop_instance_uid for delivery in deliveries]
    rows = session.execute(
        select(ResultObject.sop_class_uid, ResultObject.sop_instance_uid).where(
            ResultObject.sop_instance_uid.in_(uids)
        )
    )
    return [(sop_class, uid) for sop_class, uid in rows]


def whereabouts(session: Session, uids: Collection[str]) -> dict[tuple[str, str], set[str]]:
    """Sort objects by the study and series they are in: the UIDs of both to those of objects."""
    found: dict[tuple[str, str], set[str]] = {}
    rows = session.execute(
        select(
            Series.study_instance_uid,
            ResultObject.series_instance_uid,
            ResultObject.sop_instance_uid,
        )
        .join(Result, Result.series_instance_uid == Series.series_instance_uid)
        .join(ResultObject, ResultObject.result_key == Result.key)
        .where(ResultObject.sop_instance_uid.in_(uids))
    )
    for study, series, uid in rows:
        found.setdefault((study, series), set()).add(uid)
    return found


def reject(session: Session, transaction_uid: str, reason: str) -> None:
    """Enter that a request was not taken, and why; what was asked for stays as it is."""
    asked_for = select(CommitmentItem.delivery_id).where(
        CommitmentItem.transaction_uid == transaction_uid
    )
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(asked_for), Delivery.state == D.UNCOMMITTED)
        .values(reason=reason)
    )
    session.execute(
        update(Commitment)
        .where(
            Commitment.transaction_uid == transaction_uid,
            Commitment.state == CommitmentState.ASKED,
        )
        .values(state=CommitmentState.REJECTED)
    )


def enter_report(
    session: Session, report: Report, now: datetime, *, tries: int
) -> dict[str, SeriesState] | None:
    """Enter what a destination answered, late or not.

    What it committed to is COMMITTED. What it does not have is sent again, and REFUSED when that
    has failed `tries` times. What it does not mention, or was not asked for, stays as it is.

    Returns
    -------
    dict or None
        Series Instance UID to state, of each series concerned. None if no such request was made,
        or it was answered before.
    """
    answered = session.scalar(
        update(Commitment)
        .where(
            Commitment.transaction_uid == report.transaction_uid,
            Commitment.state != CommitmentState.ANSWERED,
        )
        .values(state=CommitmentState.ANSWERED)
        .returning(Commitment.transaction_uid)
    )
    if answered is None:
        return None
    items = session.execute(
        select(CommitmentItem, Delivery)
        .join(Delivery)
        .where(CommitmentItem.transaction_uid == report.transaction_uid)
    ).all()
    keys = set()
    for item, delivery in items:
        item.failure = report.failed.get(delivery.sop_instance_uid)
        session.flush()
        if delivery.state in (D.UNCOMMITTED, D.ACCEPTED):
            _enter_answer(session, item, delivery, report, now, tries=tries)
            keys.add(session.get_one(ResultObject, delivery.sop_instance_uid).result_key)
    session.flush()
    return dict(conclude(session, key, now) for key in sorted(keys))


def _enter_answer(
    session: Session,
    item: CommitmentItem,
    delivery: Delivery,
    report: Report,
    now: datetime,
    *,
    tries: int,
) -> None:
    if item.failure is None:
        if delivery.sop_instance_uid in report.committed:
            _move(session, delivery, D.COMMITTED, "", now)
        return
    times = _failures(session, delivery)
    reason = f"{report.means} failed with 0x{item.failure:04X}"
    if times >= tries:
        _move(session, delivery, D.REFUSED, f"{reason}, {times} times", now)
    else:
        _move(session, delivery, D.PENDING, reason, now)


def _move(
    session: Session, delivery: Delivery, state: DeliveryState, reason: str, now: datetime
) -> None:
    session.execute(
        update(Delivery)
        .where(Delivery.id == delivery.id)
        .values(state=state, reason=reason, next_at=now)
    )


def _due(session: Session, destination: str, now: datetime) -> list[Delivery]:
    rows = session.scalars(
        select(Delivery)
        .where(
            Delivery.destination == destination,
            Delivery.state == D.UNCOMMITTED,
            Delivery.next_at <= now,
        )
        .order_by(Delivery.id)
        .limit(LIMIT)
    )
    return list(rows)


def _requests(session: Session, delivery: Delivery) -> int:
    """Count the requests without an answer since a delivery was entered, or made again by wish."""
    return _count(session, delivery, Commitment.state != CommitmentState.ANSWERED)


def _failures(session: Session, delivery: Delivery) -> int:
    """Count the answers since then that it is not there."""
    return _count(session, delivery, CommitmentItem.failure.is_not(None))


def _count(session: Session, delivery: Delivery, which: ColumnElement[bool]) -> int:
    counted = (
        select(func.count())
        .select_from(CommitmentItem)
        .join(Commitment)
        .where(
            CommitmentItem.delivery_id == delivery.id,
            Commitment.requested_at >= delivery.first_at,
            which,
        )
    )
    return session.scalar(counted) or 0


def _accept(session: Session, ids: Sequence[int], reason: str, now: datetime) -> int:
    """Move UNCOMMITTED to ACCEPTED, and end each series that has waited for nothing else."""
    moved = session.scalars(
        update(Delivery)
        .where(Delivery.id.in_(ids), Delivery.state == D.UNCOMMITTED)
        .values(state=D.ACCEPTED, reason=reason)
        .returning(Delivery.sop_instance_uid)
    ).all()
    of_them = select(ResultObject.result_key).where(ResultObject.sop_instance_uid.in_(moved))
    for key in session.scalars(of_them.distinct().order_by(ResultObject.result_key)).all():
        conclude(session, key, now)
    return len(moved)
