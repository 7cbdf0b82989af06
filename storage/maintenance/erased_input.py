"""Remove the name of an erased series from the work items whose input it was."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from storage.database.work_item_tables import WorkItem, WorkItemSeries
from storage.states import WORK_ITEM_STEPS


def erase_input(session: Session, series_instance_uid: str) -> None:
    """Remove the name of a series from work items; open ones keep that they had one more."""
    row = WorkItemSeries
    open_states = [state for state, steps in WORK_ITEM_STEPS.items() if steps]
    of_series = row.series_instance_uid == series_instance_uid
    uids = set(
        session.scalars(
            select(row.work_item_uid)
            .join(WorkItem, WorkItem.sop_instance_uid == row.work_item_uid)
            .where(of_series, WorkItem.state.in_(open_states))
        )
    )
    uids -= set(session.scalars(select(row.work_item_uid).where(row.series_instance_uid == "")))
    session.execute(delete(row).where(of_series))
    session.add_all(
        row(work_item_uid=uid, series_instance_uid="", study_instance_uid="", named="[]")
        for uid in sorted(uids)
    )
    session.flush()
