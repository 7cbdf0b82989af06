"""Status of the node as data: `dicom-node status` and the API of the console show the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from config.settings import Settings
from dicom_node.folder_lock import is_running
from dicom_node.health import Condition, read_condition
from storage.database.lease import read_lease
from storage.database.receivers import receivers
from storage.database.sessions import Session, Sessions
from storage.delivery.pauses import pauses
from storage.files.disk import GIGABYTE, disk_free
from storage.overview import Overview, QuarantineLine, RefusalLine, SeriesLine, overview
from storage.results.answers import AnswerCounts, answer_counts
from storage.states import DeliveryState, SeriesState

FEEDBACK_DAYS = 30  #: in which answers of readers are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Free space on the disk of the storage folder, and the reserve kept free of instances, GB."""

    free_gb: float
    reserve_gb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackCounts:
    """Answers of readers in the latest days.

    Attributes
    ----------
    answers
        Those that stand, by their words.
    of_another_patient_or_study
        Those that are not counted.
    """

    days: int
    answers: Mapping[str, int]
    of_another_patient_or_study: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """Since when a destination gets nothing, and who has paused it."""

    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverStatus:
    """One of several receivers; attributes as in `storage.database.schema.Receiver`.

    Attributes
    ----------
    active
        Whether it is the one that analyses and delivers; the others stand by.
    """

    name: str
    active: bool
    host: str
    pid: int
    version: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """The node at a glance: what `dicom-node status --json` writes.

    Attributes
    ----------
    at
        When it was read.
    states, deliveries
        Total number of series and of deliveries in each state.
    series, quarantine, refusals
        The latest, newest first.
    running
        Whether a process holds the storage folder.
    condition
        What is out of order; None unless the node runs.
    paused
        Destinations that get nothing until somebody resumes them.
    receivers
        Those that share database and storage folder; none of a node of its own.
    """

    at: datetime
    states: Mapping[SeriesState, int]
    deliveries: Mapping[DeliveryState, int]
    series: tuple[SeriesLine, ...]
    quarantine: tuple[QuarantineLine, ...]
    refusals: tuple[RefusalLine, ...]
    disk: Disk
    feedback: FeedbackCounts
    running: bool
    condition: Condition | None
    paused: Mapping[str, Paused]
    receivers: tuple[ReceiverStatus, ...] = ()

    @property
    def overview(self) -> Overview:
        """Its part that is of the database."""
        return Overview(
            states=self.states,
            deliveries=self.deliveries,
            series=self.series,
            quarantine=self.quarantine,
            refusals=self.refusals,
        )

    @property
    def answers(self) -> AnswerCounts:
        """Numbers of answers of readers."""
        return AnswerCounts(
            standing=self.feedback.answers, mismatched=self.feedback.of_another_patient_or_study
        )


def read_status(settings: Settings, sessions: Sessions, limit: int, now: datetime) -> NodeStatus:
    """Read the status; each list holds at most `limit` lines.

    Raises
    ------
    DatabaseUnavailable
        If the database is away.
    OSError
        If the storage folder is.
    """
    folder = settings.storage.folder
    running = is_running(folder)
    with sessions.reading() as session:
        found = overview(session, limit)
        answers = answer_counts(session, now - timedelta(days=FEEDBACK_DAYS))
        paused = pauses(session)
        sharing = _receivers(session)
    return NodeStatus(
        at=now,
        states=found.states,
        deliveries=found.deliveries,
        series=found.series,
        quarantine=found.quarantine,
        refusals=found.refusals,
        disk=Disk(free_gb=disk_free(folder) / GIGABYTE, reserve_gb=settings.storage.reserve_gb),
        feedback=FeedbackCounts(
            days=FEEDBACK_DAYS,
            answers=dict(answers.standing),
            of_another_patient_or_study=answers.mismatched,
        ),
        running=running,
        condition=read_condition(folder) if running else None,
        paused={name: Paused(at=one.at, by=one.by) for name, one in paused.items()},
        receivers=sharing,
    )


def _receivers(session: Session) -> tuple[ReceiverStatus, ...]:
    lease = read_lease(session)
    active = lease.held_by.holder if lease is not None else ""
    return tuple(
        ReceiverStatus(
            name=one.name,
            active=one.holder == active,
            host=one.host,
            pid=one.pid,
            version=one.version,
            since=one.since,
        )
        for one in receivers(session)
    )
