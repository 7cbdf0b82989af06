"""Tables of the work items that this node performs for a worklist manager."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from storage.database.columns import Uid, Words, word
from storage.database.schema import Base
from storage.states import WorkItemState


class WorkItem(Base):
    """One work item (Unified Procedure Step) that this node has claimed, or wants to.

    Attributes
    ----------
    transaction_uid
        Ours, by which the manager knows that we are its performer; never told to anybody else.
    claimed_at
        When it was chosen.
    since
        When it entered its present state.
    told
        Percentage of progress that the manager was told last; -1 before.
    attempts, next_at
        Times in a row that the manager refused a step, and when it is tried again.
    cancel_requested_at
        When the manager told of a request to cancel it; None if it did not.
    code
        Why it is canceled: code value of DCM (PS3.16 CID 9300); else empty.
    """

    __tablename__ = "work_item"
    __table_args__ = (Index(None, "state", "since"),)

    sop_instance_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(Uid)
    state: Mapped[WorkItemState] = mapped_column(
        word(WorkItemState), default=WorkItemState.CLAIMING
    )
    claimed_at: Mapped[datetime]
    since: Mapped[datetime]
    told: Mapped[int] = mapped_column(default=-1)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime]
    cancel_requested_at: Mapped[datetime | None] = mapped_column(default=None)
    code: Mapped[str] = mapped_column(String(16), default="")
    reason: Mapped[str] = mapped_column(Words, default="")


class WorkItemSeries(Base):
    """A series that a work item has as its input, whether it is here or not.

    Attributes
    ----------
    series_instance_uid, study_instance_uid
        Empty once the series was erased.
    named
        SOP Instance UIDs of the instances that the work item names, as a list in JSON; empty if it
        names the series only.
    """

    __tablename__ = "work_item_series"

    work_item_uid: Mapped[str] = mapped_column(
        ForeignKey("work_item.sop_instance_uid"), primary_key=True
    )
    series_instance_uid: Mapped[str] = mapped_column(Uid, primary_key=True, index=True)
    study_instance_uid: Mapped[str] = mapped_column(Uid)
    named: Mapped[str] = mapped_column(Text)
