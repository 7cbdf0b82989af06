"""Keep the requests of senders for storage commitment until they have their report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from storage.database.schema import CommitmentRequestRow
from storage.series.priority import CLOCK_BACK

MAXIMUM_WAITING = 100  #: requests without a report yet; more are refused
MAXIMUM_OBJECTS = 100_000  #: that all of those name
FIRST_WAIT = timedelta(minutes=1)  #: after the first try; twice as long after each further one
LONGEST_WAIT = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=3)  #: since the request; its sender has asked again by then
MAXIMUM_ATTEMPTS = 100  #: more than fit into that time, whatever the clock does


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """The N-ACTION of a sender: objects that it wants us to commit to.

    Attributes
    ----------
    objects
        SOP Instance UID to SOP Class UID.
    """

    calling_ae: str
    transaction_uid: str
    objects: Mapping[str, str]


def keep_request(session: Session, request: CommitmentRequest, now: datetime) -> bool:
    """Keep a request; False if too many wait. The same transaction again replaces the earlier."""
    key = {"calling_ae": request.calling_ae, "transaction_uid": request.transaction_uid}
    known = _row(session, request)  # locked: the report to the earlier one may be ending it
    if known is None:
        waiting, objects = session.execute(
            select(func.count(), func.coalesce(func.sum(CommitmentRequestRow.count), 0))
        ).one()
        if waiting >= MAXIMUM_WAITING or objects + len(request.objects) > MAXIMUM_OBJECTS:
            return False
        known = CommitmentRequestRow(**key)
        session.add(known)
    known.objects, known.count = json.dumps(dict(request.objects)), len(request.objects)
    known.requested_at, known.next_at, known.attempts = now, now + FIRST_WAIT, 0
    session.flush()
    return True


def due_requests(session: Session, now: datetime) -> list[CommitmentRequest]:
    """List the requests whose report is to be tried again, the oldest first."""
    row = CommitmentRequestRow
    due = or_(row.next_at <= now, row.requested_at > now + CLOCK_BACK)
    rows = session.scalars(select(row).where(due).order_by(row.requested_at)).all()
    return [
        CommitmentRequest(
            calling_ae=row.calling_ae,
            transaction_uid=row.transaction_uid,
            objects=json.loads(row.objects),
        )
        for row in rows
    ]


def end_request(session: Session, request: CommitmentRequest) -> None:
    """Forget a request that has its report."""
    row = _row(session, request)
    if row is not None:
        session.delete(row)
        session.flush()


def postpone_request(session: Session, request: CommitmentRequest, now: datetime) -> bool:
    """Put a report off that could not be given; False if it is given up."""
    row = _row(session, request)
    if row is None:
        return True
    row.attempts += 1
    if now - row.requested_at >= GIVE_UP_AFTER or row.attempts >= MAXIMUM_ATTEMPTS:
        session.delete(row)
        session.flush()
        return False
    if row.requested_at > now + CLOCK_BACK:  # else it would be tried at every look
        row.requested_at = now
    row.next_at = now + min(FIRST_WAIT * 2 ** (row.attempts - 1), LONGEST_WAIT)
    session.flush()
    return True


def _row(session: Session, request: CommitmentRequest) -> CommitmentRequestRow | None:
    key = {"calling_ae": request.calling_ae, "transaction_uid": request.transaction_uid}
    return session.get(CommitmentRequestRow, key, with_for_update=True)
