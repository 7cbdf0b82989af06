"""A node with results due, the job that performs work items, and a manager."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from dicom_node.resources import Resources
from dicom_node.worklist.item import Retrieval, Selection
from dicom_node.worklist.job import WorklistJob, WorklistRules
from dicom_node.worklist.performer import Performer
from storage.delivery.outbox import Settlement, claim, due, settle
from storage.delivery.work_items import WorkItemRow, latest_work_items
from storage.series.lifecycle import advance
from storage.states import DeliveryState, SeriesState, WorkItemState
from tests.support.peers.worklist_manager import WorklistManager
from tests.support.results_due import CT, STUDY, Hands

ITEM, OTHER = "2.25.70", "2.25.71"
INPUT = (STUDY, CT.series_instance_uid, [CT.sop_instance_uid])
ABSENT = (STUDY, "2.25.404", ["2.25.405"])


@dataclass
class Site:
    """A node with results due, its worklist job, and a manager."""

    resources: Resources
    clock: Hands
    manager: WorklistManager
    seconds: float = 0.0
    rules: WorklistRules = field(
        default_factory=lambda: WorklistRules(
            selection=Selection(workitem_code="110005", scheme="DCM", station_name="AINODE"),
            claims=True,
            maximum_claimed=3,
            every_seconds=30.0,
        )
    )
    woken: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.job = self.make_job()

    def make_job(self) -> WorklistJob:
        return WorklistJob(
            resources=self.resources,
            rules=self.rules,
            manager=self.manager.peer,
            performer=Performer(
                resources=self.resources,
                ae_title="AINODE",
                manager_ae=self.manager.ae_title,
                retrievals={"PACS": Retrieval(ae_title="ARCHIVE")},
                longest=timedelta(hours=24),
            ),
            wake=lambda: self.woken.append(True),
            steady=lambda: self.seconds,
        )

    def round(self, seconds: float = 1_000.0) -> None:
        """Let time pass, and the job run once."""
        self.seconds += seconds
        self.clock.now += timedelta(seconds=seconds)
        self.job.run_once()

    def row(self, uid: str = ITEM) -> WorkItemRow:
        with self.resources.sessions.reading() as session:
            (row,) = [one for one in latest_work_items(session, 99) if one.sop_instance_uid == uid]
        return row

    def rows(self) -> dict[str, WorkItemState]:
        with self.resources.sessions.reading() as session:
            return {one.sop_instance_uid: one.state for one in latest_work_items(session, 99)}

    def deliver(self) -> None:
        """Have the results arrive at their destination."""
        with self.resources.sessions.begin() as session:
            claimed = claim(session, due(session, "PACS", self.clock(), 99))
            settle(
                session,
                [Settlement(id=one.id, state=DeliveryState.ACCEPTED) for one in claimed],
                self.clock(),
            )

    def move(self, old: SeriesState, new: SeriesState, reason: str = "") -> None:
        with self.resources.sessions.begin() as session:
            advance(
                session,
                CT.series_instance_uid,
                old=old,
                new=new,
                now=self.clock(),
                reason=reason,
            )


def ended_as(site: Site, uid: str = ITEM) -> tuple[str, WorkItemState]:
    return site.manager.state(uid), site.row(uid).state
