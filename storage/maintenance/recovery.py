"""Give back the claims of processes that have ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, Series
from storage.series.lifecycle import advance, locked, reopen
from storage.states import DeliveryState, SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """Number of claims given back."""

    series: int
    deliveries: int


def recover(session: Session, now: datetime, *, counted: bool = True) -> Recovered:
    """Give every claim back: ANALYSING to STABLE, SENDING to PENDING.

    For the start and the end of a node only: where several share a database, the claims of the
    others are given back as well. A result of a lost claim that comes after all gets StaleState.

    Parameters
    ----------
    counted
        Whether the attempts stay counted: at the start, so that a series that crashes the node is
        not tried for ever; not after an orderly end.
    """
    claimed = session.scalars(
        select(Series.series_instance_uid).where(Series.state == SeriesState.ANALYSING)
    ).all()
    for uid in claimed:
        _give_back(session, uid, now, counted=counted)
    sending = session.scalars(
        update(Delivery)
        .where(Delivery.state == DeliveryState.SENDING)
        .values(state=DeliveryState.PENDING, next_at=now)
        .returning(Delivery.id)
    ).all()
    return Recovered(series=len(claimed), deliveries=len(sending))


def _give_back(session: Session, uid: str, now: datetime, *, counted: bool) -> None:
    row = locked(session, uid)
    row.attempts -= not counted
    session.flush()
    if row.reopened:
        reopen(session, row, now)
    else:
        advance(session, uid, old=SeriesState.ANALYSING, new=SeriesState.STABLE, now=now)
