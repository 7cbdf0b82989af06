"""Give back claims: at the start those of earlier holders of the lease, at the end our own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, true, update
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, Series
from storage.database.sessions import holder_of
from storage.series.lifecycle import advance, locked, reopen
from storage.states import DeliveryState, SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """Number of claims given back."""

    series: int
    deliveries: int


def recover(session: Session, now: datetime, *, counted: bool = True) -> Recovered:
    """Give claims back that nobody works on any more: ANALYSING to STABLE, SENDING to PENDING.

    At the start those of earlier holders of the lease, at the end our own; without a lease all.
    A result of a lost claim that comes after all gets StaleState.

    Parameters
    ----------
    counted
        Whether the attempts stay counted: at the start, so that a series that crashes the node is
        not tried for ever; not after an orderly end.
    """
    claimed = session.scalars(
        select(Series.series_instance_uid).where(
            Series.state == SeriesState.ANALYSING, _to_be_given_back(session, Series, counted)
        )
    ).all()
    for uid in claimed:
        _give_back(session, uid, now, counted=counted)
    sending = session.scalars(
        update(Delivery)
        .where(
            Delivery.state == DeliveryState.SENDING, _to_be_given_back(session, Delivery, counted)
        )
        .values(state=DeliveryState.PENDING, next_at=now)
        .returning(Delivery.id)
    ).all()
    return Recovered(series=len(claimed), deliveries=len(sending))


def _to_be_given_back(
    session: Session, table: type[Series | Delivery], counted: bool
) -> ColumnElement[bool]:
    """Build the condition for the claims of earlier holders of the lease, or for our own."""
    ours = holder_of(session)
    if ours is None:
        return true()
    return table.holder.is_distinct_from(ours) if counted else table.holder == ours


def _give_back(session: Session, uid: str, now: datetime, *, counted: bool) -> None:
    row = locked(session, uid)
    row.attempts -= not counted
    session.flush()
    if row.reopened:
        reopen(session, row, now)
    else:
        advance(session, uid, old=SeriesState.ANALYSING, new=SeriesState.STABLE, now=now)
