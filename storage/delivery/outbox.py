"""The outbox: results are kept together with the duty to deliver them.

The functions work in the caller's transaction; :func:`keep_results` is the second of the two
commits that matter (the first keeps an instance).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, Result, ResultObject, Series
from storage.delivery.conclusion import conclude, enter
from storage.errors import StaleState, StorageError
from storage.results.rows import NewObject, NewResult, add_result
from storage.series.lifecycle import SeriesTicket, leave
from storage.states import DELIVERY_STEPS, DeliveryState, SeriesState

D = DeliveryState

CLOCK_BACK = timedelta(minutes=1)  #: what was entered so much later than now: the clock was set


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDelivery:
    """One object that a destination should get now.

    Attributes
    ----------
    attempts
        Tries so far.
    first_at
        When the delivery was entered.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How one delivery went.

    Attributes
    ----------
    state
        ACCEPTED, UNCOMMITTED, DECLINED, REFUSED, or PENDING for another try.
    next_at
        When to try again, if PENDING; when to ask what became of it, if UNCOMMITTED.
    """

    id: int
    state: DeliveryState
    reason: str = ""
    next_at: datetime | None = None

    def __post_init__(self) -> None:
        if (self.state in (D.PENDING, D.UNCOMMITTED)) != (self.next_at is not None):
            raise ValueError(f"expected a next time of what goes on, got {self.next_at}")


def keep_results(
    session: Session,
    ticket: SeriesTicket,
    result: NewResult,
    objects: Sequence[NewObject],
    *,
    destinations: Iterable[str],
    now: datetime,
) -> SeriesState:
    """Keep a result with its objects and their deliveries: ANALYSING to ENCODED.

    If a result of that key is kept already, it stands: see :func:`reuse_result`.

    Parameters
    ----------
    objects
        In the order of sending.

    Returns
    -------
    SeriesState
        ENCODED; DELIVERED if there is no destination (or, for a known key, nothing to do);
        RECEIVING if an instance came meanwhile: then nothing is kept, a better result follows.

    Raises
    ------
    StaleState
        If the claim no longer holds; nothing is kept.
    """
    if session.get(Result, result.key) is not None:
        return reuse_result(session, ticket, result.key, destinations, now)
    state = leave(session, ticket, now, new=SeriesState.ENCODED)
    if state is not SeriesState.ENCODED:
        return state
    add_result(session, ticket, result, objects, now)
    return enter(session, result.key, destinations, now)


def reuse_result(
    session: Session,
    ticket: SeriesTicket,
    key: str,
    destinations: Iterable[str],
    now: datetime,
) -> SeriesState:
    """Let a kept result answer for a claimed series: ANALYSING to ENCODED and perhaps further.

    Its deliveries stand; those refused or replaced are tried again, for a person wished it so,
    and destinations that are new get theirs. Returns and raises as :func:`keep_results`.

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
    return enter(session, key, destinations, now)


def send_again(session: Session, key: str, now: datetime) -> None:
    """Have what was refused of a result, or replaced, tried again, if it is kept still."""
    kept = (ResultObject.result_key == key, Result.purged_at.is_(None))
    objects = select(ResultObject.sop_instance_uid).join(Result).where(*kept)
    session.execute(
        update(Delivery)
        .where(Delivery.sop_instance_uid.in_(objects), Delivery.state.in_((D.REFUSED, D.REPLACED)))
        .values(state=D.PENDING, next_at=now, first_at=now, attempts=0, reason="")
    )


def due(session: Session, destination: str, now: datetime, limit: int) -> list[DueDelivery]:
    """List what a destination should get now: the oldest first, each result in its order.

    Whatever waits of a study comes along when something of it is due, so that no newer result
    overtakes an older one whose next try is far away. What was entered in the future is due as
    well: the clock has been put back.
    """
    waiting = (Delivery.destination == destination, Delivery.state == D.PENDING)
    studies = (
        select(Series.study_instance_uid)
        .join(Result, Result.series_instance_uid == Series.series_instance_uid)
        .join(ResultObject)
        .join(Delivery)
        .where(*waiting, or_(Delivery.next_at <= now, Delivery.first_at > now + CLOCK_BACK))
    )
    rows = session.execute(
        select(Delivery, ResultObject)
        .join(ResultObject, ResultObject.sop_instance_uid == Delivery.sop_instance_uid)
        .join(Result)
        .join(Series, Series.series_instance_uid == Result.series_instance_uid)
        .where(*waiting, Series.study_instance_uid.in_(studies))
        .order_by(Delivery.first_at, Result.revision)
        .order_by(ResultObject.result_key, ResultObject.position)
        .limit(limit)
    )
    return [_due(delivery, found) for delivery, found in rows]


def _due(delivery: Delivery, found: ResultObject) -> DueDelivery:
    return DueDelivery(
        id=delivery.id,
        destination=delivery.destination,
        sop_instance_uid=found.sop_instance_uid,
        sop_class_uid=found.sop_class_uid,
        transfer_syntax_uid=found.transfer_syntax_uid,
        path=found.path,
        kind=found.kind,
        result_key=found.result_key,
        attempts=delivery.attempts,
        first_at=delivery.first_at,
    )


def claim(session: Session, deliveries: Iterable[DueDelivery]) -> list[DueDelivery]:
    """Claim deliveries for sending: PENDING to SENDING; return those nobody else has taken.

    This try is counted in the `attempts` of what is returned.
    """
    wanted = {delivery.id: delivery for delivery in deliveries}
    taken = session.scalars(
        update(Delivery)
        .where(Delivery.id.in_(wanted), Delivery.state == D.PENDING)
        .values(state=D.SENDING, attempts=Delivery.attempts + 1)
        .returning(Delivery.id)
    ).all()
    return [
        replace(each, attempts=each.attempts + 1) for each in wanted.values() if each.id in taken
    ]


def put_back(session: Session, ids: Iterable[int], now: datetime) -> int:
    """Give claims back that were never settled: SENDING to PENDING; return how many there were."""
    found = session.scalars(
        update(Delivery)
        .where(Delivery.id.in_(ids), Delivery.state == D.SENDING)
        .values(state=D.PENDING, next_at=now)
        .returning(Delivery.id)
    )
    return len(found.all())


def settle(
    session: Session, settlements: Iterable[Settlement], now: datetime
) -> dict[str, SeriesState]:
    """Enter how claimed deliveries went, and end each series that has nothing left to send.

    Returns
    -------
    dict
        Series Instance UID to state, of each series concerned. It is DELIVERED when every
        delivery of its result, or what stands for it (see `storage.delivery.substitutes`), has arrived;
        FAILED when some were refused and none is under way
        any more (the others have arrived all the same); else ENCODED. A series that has been
        opened again meanwhile is left as it is: its next result is on the way.

    Raises
    ------
    StaleState
        If a delivery is not claimed any more.
    """
    keys = {_enter_outcome(session, settlement) for settlement in settlements}
    return dict(conclude(session, key, now) for key in sorted(keys))


def _enter_outcome(session: Session, settlement: Settlement) -> str:
    """Move one delivery; return the key of the result it belongs to."""
    if settlement.state not in DELIVERY_STEPS[D.SENDING]:
        raise ValueError(f"no step from {D.SENDING} to {settlement.state}")
    values: dict[str, object] = {"state": settlement.state, "reason": settlement.reason}
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
