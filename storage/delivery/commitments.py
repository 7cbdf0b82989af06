"""Record requests for storage commitment, their reports, and their end without an answer.

Destinations are asked by storage commitment (PS3.4 Annex J), or by query. A delivery is
UNCOMMITTED from its acceptance to the answer, and its series is not DELIVERED until then. A
destination that never answers does not delay the series for ever: after a number of requests the
delivery is ACCEPTED, with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from storage.database.schema import (
    Commitment,
    CommitmentItem,
    Delivery,
    Result,
    ResultObject,
    Series,
)
from storage.delivery.series_completion import conclude
from storage.series.priority import CLOCK_BACK
from storage.states import CommitmentState, DeliveryState, SeriesState

D = DeliveryState

MAXIMUM_OBJECTS = 500  #: in one request


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The answer of a destination to a request.

    Attributes
    ----------
    committed
        SOP Instance UIDs.
    failed
        SOP Instance UID to Failure Reason (PS3.3 C.14.1.1).
    means
        The service by which the destination was asked, for the reason of a delivery.
    """

    transaction_uid: str
    committed: Collection[str] = frozenset()
    failed: Mapping[str, int] = field(default_factory=dict)
    means: str = "storage commitment"


def accept_uncommitted(session: Session, destination: str, reason: str, now: datetime) -> int:
    """End the wait for commitment: UNCOMMITTED to ACCEPTED; return the number of deliveries."""
    waiting = select(Delivery.id).where(
        Delivery.destination == destination, Delivery.state == D.UNCOMMITTED
    )
    return _accept(session, session.scalars(waiting).all(), reason, now)


def accept_unanswered(
    session: Session,
    destination: str,
    now: datetime,
    *,
    requests: int,
    means: str,
    longest_wait: timedelta,
) -> int:
    """Give up on commitment after so many unanswered requests; return the number of deliveries.

    A request whose answer leaves an object out is unanswered as far as that is concerned
    (PS3.4 J.3.3). The deliveries are ACCEPTED, with the reason.
    """
    unanswered = [
        delivery.id
        for delivery in _due(session, destination, now, longest_wait)
        if _requests(session, delivery) >= requests
    ]
    reason = f"no answer to {requests} requests for {means}"
    return _accept(session, unanswered, reason, now)


def record_request(
    session: Session,
    destination: str,
    now: datetime,
    *,
    transaction_uid: str,
    again_at: datetime,
    longest_wait: timedelta,
) -> list[tuple[str, str]]:
    """Record a request for the deliveries that are due, before it is sent.

    Parameters
    ----------
    again_at
        When to request the same again, if there is no answer.
    longest_wait
        Longest time before a request: one that is farther off shows a clock put back.

    Returns
    -------
    list
        SOP Class UID and SOP Instance UID of each object; empty if none is due: nothing is
        recorded then.
    """
    deliveries = _due(session, destination, now, longest_wait)
    if not deliveries:
        return []
    session.add(
        Commitment(transaction_uid=transaction_uid, destination=destination, requested_at=now)
    )
    session.flush()
    for delivery in deliveries:
        delivery.next_at, delivery.reason = again_at, ""
        delivery.first_at = min(delivery.first_at, now)  # else no request would count
        session.add(CommitmentItem(transaction_uid=transaction_uid, delivery_id=delivery.id))
    uids = [delivery.sop_instance_uid for delivery in deliveries]
    rows = session.execute(
        select(ResultObject.sop_class_uid, ResultObject.sop_instance_uid).where(
            ResultObject.sop_instance_uid.in_(uids)
        )
    )
    return [(sop_class, uid) for sop_class, uid in rows]


def group_by_series(session: Session, uids: Collection[str]) -> dict[tuple[str, str], set[str]]:
    """Group objects by their Study and Series Instance UIDs: the pair to SOP Instance UIDs."""
    groups: dict[tuple[str, str], set[str]] = {}
    rows = session.execute(
        select(
            Series.study_instance_uid,
            ResultObject.series_instance_uid,
            ResultObject.sop_instance_uid,
        )
        .join(Result, Result.series_instance_uid == Series.series_instance_uid)
        .join(ResultObject, ResultObject.result_key == Result.key)
        .where(ResultObject.sop_instance_uid.in_(uids))
        .order_by(ResultObject.series_instance_uid, ResultObject.position)
    )
    for study, series, uid in rows:
        groups.setdefault((study, series), set()).add(uid)
    return groups


def record_rejection(session: Session, transaction_uid: str, reason: str) -> None:
    """Record that a request was rejected, and why; its deliveries stay UNCOMMITTED."""
    requested = select(CommitmentItem.delivery_id).where(
        CommitmentItem.transaction_uid == transaction_uid
    )
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(requested), Delivery.state == D.UNCOMMITTED)
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
    """Record the report of a destination on a request, late or not.

    Objects that it committed to are COMMITTED. Objects that it does not have are sent again, and
    REFUSED when that has failed `tries` times. Objects that it does not mention stay as they are,
    with the reason, and may be in a further report; those that it was not asked for as well.

    Returns
    -------
    dict or None
        Series Instance UID to state, of each series concerned. None if there is no such request,
        or all of it was answered before.
    """
    items = session.execute(
        select(CommitmentItem, Delivery)
        .join(Delivery)
        .where(
            CommitmentItem.transaction_uid == report.transaction_uid,
            CommitmentItem.failure.is_(None),
            Delivery.state != D.COMMITTED,
        )
        .order_by(Delivery.id)
        .with_for_update(of=Delivery)  # before its items and its series, as all others do
    ).all()
    if not items:
        return None
    session.execute(
        update(Commitment)
        .where(Commitment.transaction_uid == report.transaction_uid)
        .values(state=CommitmentState.ANSWERED)
    )
    keys = set()
    for item, delivery in items:
        item.failure = report.failed.get(delivery.sop_instance_uid)
        session.flush()
        if delivery.state in (D.UNCOMMITTED, D.ACCEPTED):
            _settle(session, item, delivery, report, now, tries=tries)
            keys.add(session.get_one(ResultObject, delivery.sop_instance_uid).result_key)
    session.flush()
    return dict(conclude(session, key, now) for key in sorted(keys))


def unasked_objects(session: Session, report: Report) -> set[str]:
    """Find those SOP Instance UIDs of a report that its request does not name, or not any more."""
    asked = session.scalars(
        select(Delivery.sop_instance_uid)
        .join(CommitmentItem)
        .where(CommitmentItem.transaction_uid == report.transaction_uid)
    )
    return {*report.committed, *report.failed}.difference(asked)


def _settle(
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
        elif delivery.state is D.UNCOMMITTED:
            delivery.reason = f"left out of an answer to a request for {report.means}"
        return
    failures = _failures(session, delivery)
    reason = f"{report.means} failed with 0x{item.failure:04X}"
    if failures >= tries:
        _move(session, delivery, D.REFUSED, f"{reason}, {failures} times", now)
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


def _due(
    session: Session, destination: str, now: datetime, longest_wait: timedelta
) -> list[Delivery]:
    """List and lock the deliveries whose destination is to be asked; also if the clock went back.

    What somebody else changes is left for another time.
    """
    rows = session.scalars(
        select(Delivery)
        .where(
            Delivery.destination == destination,
            Delivery.state == D.UNCOMMITTED,
            or_(
                Delivery.next_at <= now,
                Delivery.first_at > now + CLOCK_BACK,
                Delivery.next_at > now + longest_wait + CLOCK_BACK,
            ),
        )
        .order_by(Delivery.id)
        .limit(MAXIMUM_OBJECTS)
        .with_for_update(skip_locked=True)
    )
    return list(rows)


def _requests(session: Session, delivery: Delivery) -> int:
    """Count the requests without an answer about it since it was recorded, or last reset."""
    return _count(session, delivery, CommitmentItem.failure.is_(None))


def _failures(session: Session, delivery: Delivery) -> int:
    """Count the reports since then that the destination does not have the object."""
    return _count(session, delivery, CommitmentItem.failure.is_not(None))


def _count(session: Session, delivery: Delivery, condition: ColumnElement[bool]) -> int:
    count = (
        select(func.count())
        .select_from(CommitmentItem)
        .join(Commitment)
        .where(
            CommitmentItem.delivery_id == delivery.id,
            Commitment.requested_at >= delivery.first_at,
            condition,
        )
    )
    return session.scalar(count) or 0


def _accept(session: Session, ids: Sequence[int], reason: str, now: datetime) -> int:
    """Move deliveries from UNCOMMITTED to ACCEPTED, and end each series that awaited no other."""
    accepted = session.scalars(
        update(Delivery)
        .where(Delivery.id.in_(ids), Delivery.state == D.UNCOMMITTED)
        .values(state=D.ACCEPTED, reason=reason)
        .returning(Delivery.sop_instance_uid)
    ).all()
    keys = select(ResultObject.result_key).where(ResultObject.sop_instance_uid.in_(accepted))
    for key in session.scalars(keys.distinct().order_by(ResultObject.result_key)).all():
        conclude(session, key, now)
    return len(accepted)
