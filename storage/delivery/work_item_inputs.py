"""Series that are the input of work items: where they stand, and what was made of them.

All functions work in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.database.schema import Delivery, Instance, Result, ResultObject, Series
from storage.database.self_test_series import of_patients
from storage.delivery.work_items import WorkItemInput
from storage.results.condensed_objects import unpack_uids
from storage.series.condensed.rows import series_of_condensed
from storage.series.lifecycle import ENDED
from storage.states import ARRIVED, SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class InputState:
    """Where a series stands that is the input of a work item.

    Attributes
    ----------
    missing
        How many of the named instances have not come; counted once the series has ended.
    reason
        As in :class:`storage.database.schema.Series`.
    """

    state: SeriesState
    missing: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedObject:
    """An object of a result that has arrived at a destination."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    destination: str


def input_states(session: Session, inputs: Collection[WorkItemInput]) -> dict[str, InputState]:
    """Tell where the series of an input stand, of those that are here."""
    wanted = {one.series_instance_uid: one for one in inputs}
    rows = session.execute(
        select(Series.series_instance_uid, Series.state, Series.reason).where(
            Series.series_instance_uid.in_(wanted), of_patients()
        )
    )
    return {
        uid: InputState(
            state=state,
            missing=_count_missing(session, wanted[uid]) if state in ENDED else 0,
            reason=reason,
        )
        for uid, state, reason in rows
    }


def _count_missing(session: Session, wanted: WorkItemInput) -> int:
    """Count the named instances of a series that have not come, whether they are kept or not."""
    missing = set(wanted.named)
    if missing:
        of_series = Instance.series_instance_uid == wanted.series_instance_uid
        missing -= set(session.scalars(select(Instance.sop_instance_uid).where(of_series)))
    if missing:
        missing -= series_of_condensed(session, wanted.study_instance_uid, missing).keys()
    return len(missing)


def arrived_objects(
    session: Session, series_instance_uids: Collection[str], destinations: Collection[str]
) -> list[ArrivedObject]:
    """List the objects of the latest results of some series that have arrived at destinations."""
    rows = session.execute(
        select(Series.study_instance_uid, ResultObject, Delivery.destination)
        .join(Result, Result.key == Series.result_key)
        .join(ResultObject, ResultObject.result_key == Result.key)
        .join(Delivery, Delivery.sop_instance_uid == ResultObject.sop_instance_uid)
        .where(
            Series.series_instance_uid.in_(series_instance_uids),
            Delivery.destination.in_(destinations),
            Delivery.state.in_(ARRIVED),
            ResultObject.only_for == "",
        )
        .order_by(Series.series_instance_uid, ResultObject.position, Delivery.destination)
    )
    return [
        ArrivedObject(
            study_instance_uid=study,
            series_instance_uid=made.series_instance_uid,
            sop_class_uid=made.sop_class_uid,
            sop_instance_uid=uid,
            destination=destination,
        )
        for study, made, destination in rows
        for uid in (made.sop_instance_uid, *unpack_uids(made.further))
    ]
