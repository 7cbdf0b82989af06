"""Outbox: keep results together with their deliveries; claim and settle deliveries.

The functions work in the caller's transaction; :func:`keep_results` is the second of the two
commits that no crash may split (the first keeps an instance).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select, true, update
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, Result, ResultObject, Series
from storage.database.sessions import holder_of
from storage.database.watch_tables import HOLD, STOP, is_held
from storage.delivery.rejections import is_held_off
from storage.delivery.series_completion import (
    Destinations,
    conclude,
    conclude_begun,
    record_deliveries,
)
from storage.errors import StaleState, StorageError
from storage.results.kept_results import (
    NewObject,
    NewResult,
    add_result,
    complete_result,
    is_whole,
)
from storage.series.lifecycle import SeriesTicket, holds, leave
from storage.series.priority import CLOCK_BACK, FOR_EVER
from storage.states import DELIVERY_STEPS, DeliveryState, SeriesState

D = DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDelivery:
    """A delivery that is due.

    Attributes
    ----------
    attempts
        Attempts so far.
    first_at
        When the delivery was recorded.
    unanswered
        Whether its last attempt had no answer, from a destination that was there.
    """

    id: int
    destination: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    path: str
    kind: str
    result_key: str
    attempts: int
    first_at: datetime
    unanswered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The outcome of an attempt to deliver.

    Attributes
    ----------
    state
        ACCEPTED, UNCOMMITTED, DECLINED, REFUSED, or PENDING for another attempt.
    next_at
        When to try again, if PENDING; when to request commitment, if UNCOMMITTED.
    unanswered
        Whether there was no answer, from a destination that was there.
    """

    id: int
    state: DeliveryState
    reason: str = ""
    next_at: datetime | None = None
    unanswered: bool = False

    def __post_init__(self) -> None:
        if (self.state in (D.PENDING, D.UNCOMMITTED)) != (self.next_at is not None):
            raise ValueError(f"expected a next time of what goes on, got {self.next_at}")


def keep_results(
    session: Session,
    ticket: SeriesTicket,
    result: NewResult,
    objects: Sequence[NewObject],
    *,
    destinations: Destinations,
    now: datetime,
) -> SeriesState:
    """Keep a result with its objects and their deliveries: ANALYSING to ENCODED.

    A result of that key that is kept already is reused: see :func:`reuse_result`. One that was
    begun gets the objects that it lacks.

    Parameters
    ----------
    objects
        In the order of sending.

    Returns
    -------
    SeriesState
        ENCODED; DELIVERED if there is no destination (or, for a known key, nothing to do);
        RECEIVING if an instance has arrived meanwhile: nothing is kept then, and the next
        generation is analysed.

    Raises
    ------
    StaleState
        If the claim no longer holds; nothing is kept.
    """
    if is_whole(session, result.key):
        return reuse_result(session, ticket, result.key, destinations, now)
    state = leave(session, ticket, now, new=SeriesState.ENCODED)
    if state is not SeriesState.ENCODED:
        return state
    begun = session.get(Result, result.key, populate_existing=True)
    if begun is None:
        add_result(session, ticket, result, objects, now)
    else:
        complete_result(session, begun, objects)
    state = record_deliveries(session, result.key, destinations, now)
    conclude_begun(session, ticket.series_instance_uid, now)
    return state


def begin_results(
    session: Session,
    ticket: SeriesTicket,
    result: NewResult,
    objects: Sequence[NewObject],
    *,
    destinations: Destinations,
    now: datetime,
) -> bool:
    """Keep the objects of a result that come first, with their deliveries; the claim goes on.

    Parameters
    ----------
    result
        Its `begun_on` is set; :func:`keep_results` completes it.

    Returns
    -------
    bool
        False if nothing is kept: an instance has arrived meanwhile, or the claim no longer holds,
        or the result is kept already.
    """
    if not holds(session, ticket) or session.get(Result, result.key) is not None:
        return False
    add_result(session, ticket, result, objects, now)
    record_deliveries(session, result.key, destinations, now)
    return True


def reuse_result(
    session: Session,
    ticket: SeriesTicket,
    key: str,
    destinations: Destinations,
    now: datetime,
) -> SeriesState:
    """Use a kept result for a claimed series: ANALYSING to ENCODED and perhaps further.

    Its deliveries stay; those refused or replaced are tried again, as an operator has requested
    a rerun, and new destinations get theirs. Returns and raises as :func:`keep_results`.

    Raises
    ------
    StorageError
        If there is no such result of this series.
    """
    result = session.get(Result, key)
    if result is None or result.series_instance_uid != ticket.series_instance_uid:
        raise StorageError(f"expected a result of series {ticket.series_instance_uid}, got {key}")
    state = leave(session, ticket, now, new=SeriesState.ENCODED)
    if state is not SeriesState.ENCODED:
        return state
    result.generation = ticket.generation
    send_again(session, key, now)
    return record_deliveries(session, key, destinations, now)


def send_again(session: Session, key: str, now: datetime) -> None:
    """Move the refused and replaced deliveries of a result to PENDING, unless it was purged."""
    kept = (ResultObject.result_key == key, Result.purged_at.is_(None))
    objects = select(ResultObject.sop_instance_uid).join(Result).where(*kept)
    session.execute(
        update(Delivery)
        .where(Delivery.sop_instance_uid.in_(objects), Delivery.state.in_((D.REFUSED, D.REPLACED)))
        .values(state=D.PENDING, next_at=now, first_at=now, attempts=0, reason="", unanswered=False)
    )


def due(
    session: Session,
    destination: str,
    now: datetime,
    limit: int,
    *,
    longest_wait: timedelta = FOR_EVER,
    kinds: Collection[str] = (),
) -> list[DueDelivery]:
    """List the deliveries to a destination that are due: the oldest first, each result in order.

    What is sent once more to a destination that was replaced comes after what is new, unless a
    newer result has followed it.

    When a delivery is due, so are the other pending ones of its study, so that no newer result
    overtakes an older one whose next attempt is far away. A delivery recorded in the future, or
    whose next attempt is farther away than any wait, is due as well: the clock was put back.

    What is for this destination alone, a rejection note, waits until it has the results.

    What is of a scanner that has changed waits where the site wants that.

    What had no answer from a destination that was there comes last, when nothing else is due, and
    alone: it holds up nothing, and nothing makes it due before its time.

    Parameters
    ----------
    kinds
        Kinds of object that may leave; empty for all.
    """
    waiting = (
        Delivery.destination == destination,
        Delivery.state == D.PENDING,
        ~is_held_off(destination),
        ResultObject.kind.in_(kinds) if kinds else true(),
    )
    let_go = ~is_held(HOLD, STOP)
    answered = Delivery.unanswered.is_(False)
    is_due = or_(
        Delivery.next_at <= now,
        Delivery.first_at > now + CLOCK_BACK,
        Delivery.next_at > now + longest_wait + CLOCK_BACK,
    )
    studies = (
        select(Series.study_instance_uid)
        .join(Result, Result.series_instance_uid == Series.series_instance_uid)
        .join(ResultObject)
        .join(Delivery)
        .where(*waiting, answered, is_due, let_go)
    )
    objects = select(Delivery, ResultObject).join(
        ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid
    )
    rows = session.execute(
        objects.join(Result)
        .join(Series, Series.series_instance_uid == Result.series_instance_uid)
        .where(*waiting, answered, let_go, Series.study_instance_uid.in_(studies))
        .order_by(and_(Delivery.again, Series.result_key == Result.key))
        .order_by(Delivery.first_at, Result.revision)
        .order_by(ResultObject.result_key, ResultObject.position)
        .limit(limit)
    ).all()
    alone = (
        objects.join(Result)
        .join(Series, Series.series_instance_uid == Result.series_instance_uid)
        .where(*waiting, Delivery.unanswered, is_due, let_go)
        .order_by(Delivery.next_at)
    )
    rows = rows or session.execute(alone.limit(1)).all()
    return [_due(delivery, result_object) for delivery, result_object in rows]


def _due(delivery: Delivery, result_object: ResultObject) -> DueDelivery:
    return DueDelivery(
        id=delivery.id,
        destination=delivery.destination,
        sop_instance_uid=result_object.sop_instance_uid,
        sop_class_uid=result_object.sop_class_uid,
        transfer_syntax_uid=result_object.transfer_syntax_uid,
        path=result_object.path,
        kind=result_object.kind,
        result_key=result_object.result_key,
        attempts=delivery.attempts,
        first_at=delivery.first_at,
        unanswered=delivery.unanswered,
    )


def claim(session: Session, deliveries: Iterable[DueDelivery]) -> list[DueDelivery]:
    """Claim deliveries for sending: PENDING to SENDING; return those that no other has claimed.

    The `attempts` of the returned deliveries include this one.
    """
    by_id = {delivery.id: delivery for delivery in deliveries}
    claimed = session.scalars(
        update(Delivery)
        .where(Delivery.id.in_(by_id), Delivery.state == D.PENDING)
        .values(state=D.SENDING, attempts=Delivery.attempts + 1, holder=holder_of(session))
        .returning(Delivery.id)
    ).all()
    return [
        replace(delivery, attempts=delivery.attempts + 1)
        for delivery in by_id.values()
        if delivery.id in claimed
    ]


def put_back(session: Session, ids: Iterable[int], now: datetime) -> int:
    """Give unsettled claims back: SENDING to PENDING; return their number."""
    returned = session.scalars(
        update(Delivery)
        .where(Delivery.id.in_(ids), Delivery.state == D.SENDING)
        .values(state=D.PENDING, next_at=now)
        .returning(Delivery.id)
    )
    return len(returned.all())


def settle(
    session: Session, settlements: Iterable[Settlement], now: datetime
) -> dict[str, SeriesState]:
    """Record the outcomes of claimed deliveries, and end each series with none under way.

    Returns
    -------
    dict
        Series Instance UID to state, of each series concerned. It is DELIVERED when every
        delivery of its result, or its substitute (see `storage.delivery.substitutes`), has
        arrived; FAILED when some were refused and none is under way (the others have arrived);
        else ENCODED. A series that was reopened meanwhile is left as it is: its next result
        follows.

    Raises
    ------
    StaleState
        If a delivery is not claimed any more.
    """
    keys = {_enter_outcome(session, settlement, now) for settlement in settlements}
    return dict(conclude(session, key, now) for key in sorted(keys))


def _enter_outcome(session: Session, settlement: Settlement, now: datetime) -> str:
    """Move one delivery to its outcome; return the key of its result.

    One that was recorded in the future counts as recorded now: the clock was put back.
    """
    if settlement.state not in DELIVERY_STEPS[D.SENDING]:
        raise ValueError(f"no step from {D.SENDING} to {settlement.state}")
    values: dict[str, object] = {
        "state": settlement.state,
        "reason": settlement.reason,
        "unanswered": settlement.unanswered,
    }
    session.execute(
        update(Delivery)
        .where(Delivery.id == settlement.id, Delivery.first_at > now)
        .values(first_at=now)
    )
    if settlement.next_at is not None:
        values["next_at"] = settlement.next_at
    sop_instance_uid = session.scalar(
        update(Delivery)
        .where(Delivery.id == settlement.id, Delivery.state == D.SENDING)
        .values(values)
        .returning(Delivery.sop_instance_uid)
    )
    if sop_instance_uid is None:
        raise StaleState(f"expected delivery {settlement.id} to be {D.SENDING}, it no longer is")
    return session.get_one(ResultObject, sop_instance_uid).result_key
