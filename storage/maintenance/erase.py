"""Series taken away for good, rows and all, because a person asked for it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from storage.database.schema import (
    Base,
    Delivery,
    Instance,
    Result,
    ResultObject,
    Search,
    Series,
)
from storage.errors import StaleState
from storage.maintenance.purge import mark_all, standings
from storage.maintenance.retention import ENDS, FINAL
from storage.series.lifecycle import locked
from storage.states import DeliveryState

SETTLED = FINAL | {DeliveryState.ACCEPTED}  #: deliveries that nothing is under way with


def mark_for_erasure(session: Session, series_instance_uid: str, now: datetime) -> None:
    """Mark a series and all that is kept of it, whatever its age.

    Raises
    ------
    StorageError
        If there is no such series.
    StaleState
        If something is under way with it.
    """
    row = locked(session, series_instance_uid)
    sent = {
        state for each in standings(session, [series_instance_uid]) for _, state in each.deliveries
    }
    if row.state not in ENDS or row.wish is not None or sent - SETTLED:
        raise StaleState(f"something is under way with series {series_instance_uid}: {row.state}")
    mark_all(session, row, now)


def erase_rows(session: Session, series_instance_uid: str) -> None:
    """Delete all rows of a series; its files must be gone, or they would be taken up again."""
    of_series = select(Result.key).where(Result.series_instance_uid == series_instance_uid)
    objects = select(ResultObject.sop_instance_uid).where(ResultObject.result_key.in_(of_series))
    deliveries = select(Delivery.id).where(Delivery.sop_instance_uid.in_(objects))
    for table in Base.metadata.sorted_tables:  # what refers to a delivery goes with it
        for key in table.foreign_keys:
            if key.column.table is Delivery.__table__:
                session.execute(delete(table).where(key.parent.in_(deliveries)))
    for statement in (
        delete(Delivery).where(Delivery.sop_instance_uid.in_(objects)),
        delete(ResultObject).where(ResultObject.result_key.in_(of_series)),
        delete(Result).where(Result.series_instance_uid == series_instance_uid),
        delete(Instance).where(Instance.series_instance_uid == series_instance_uid),
        delete(Search).where(Search.series_instance_uid == series_instance_uid),
        delete(Series).where(Series.series_instance_uid == series_instance_uid),
    ):
        session.execute(statement)
