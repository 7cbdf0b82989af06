"""Count what the node logs: every metric of this kind follows from one event, whatever the level.

So nothing that works has to know of metrics, and what is counted is what the log says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

MAX_VALUES = 100  #: different values of a label: AE titles are chosen by strangers
OTHER = "other"  #: the value of all further ones
SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
"""Bounds of histograms of durations, s: from a stage on a GPU to half an hour of waiting."""

Event = Mapping[str, Any]
Kind = TypeVar("Kind", Counter, Histogram)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How one event adds to one metric.

    Attributes
    ----------
    event
        One of `dicom_node.logs.EVENTS`.
    metric
        Name without the prefix and without ``_total``.
    text
        What is counted, one line.
    labels
        Fields of the event that become labels, by the label's name.
    amount
        Field that is added; without a name 1.
    without
        What is added where an event lacks that field.
    code
        Whether labels hold the code with which a reason begins, and nothing of what follows it.
    """

    event: str
    metric: str
    text: str
    labels: Mapping[str, str] | None = None
    amount: str = ""
    without: float = 1.0
    code: bool = False


SENDER = {"calling_ae": "calling_ae"}
RECEIVER = {"destination": "destination"}

COUNTED: Sequence[Counted] = (
    Counted(
        event="association_accepted",
        metric="associations_accepted",
        text="Associations of senders that were accepted.",
        labels=SENDER,
    ),
    Counted(
        event="association_rejected",
        metric="associations_rejected",
        text="Associations that were rejected.",
        amount="times",
    ),
    Counted(
        event="association_broken",
        metric="associations_broken",
        text="Connections and associations that ended otherwise than by a release.",
        amount="times",
    ),
    Counted(
        event="context_refused",
        metric="contexts_refused",
        text="Presentation contexts that were refused.",
        amount="times",
    ),
    Counted(
        event="instance_received",
        metric="instances_received",
        text="Instances that were received and are in the database.",
        labels=SENDER,
    ),
    Counted(
        event="instance_received",
        metric="received_bytes",
        text="Bytes of the instances received.",
        labels=SENDER,
        amount="bytes",
    ),
    Counted(
        event="instance_repeated",
        metric="instances_repeated",
        text="Instances that had been received before.",
        labels=SENDER,
    ),
    Counted(
        event="instance_refused",
        metric="instances_refused",
        text="Instances that were refused: their senders know.",
        labels=SENDER,
        amount="times",
    ),
    Counted(
        event="instance_quarantined",
        metric="instances_quarantined",
        text="Instances that cannot be read, and are kept in quarantine.",
        labels=SENDER,
    ),
    Counted(
        event="notification_kept",
        metric="notifications",
        text="MPPS and Instance Availability Notifications that were kept.",
        labels={"kind": "kind"},
    ),
    Counted(
        event="workitem_claimed",
        metric="workitems_claimed",
        text="Work items of the worklist manager that were claimed.",
    ),
    Counted(
        event="workitem_ended",
        metric="workitems_ended",
        text="Work items that have ended: completed, canceled or lost.",
        labels={"state": "state"},
    ),
    Counted(
        event="series_closed",
        metric="series_closed",
        text="Series that were closed, by the proof that they were complete.",
        labels={"proof": "closed_by"},
    ),
    Counted(event="analysis_started", metric="analyses_started", text="Analyses that were begun."),
    Counted(
        event="analysis_finished",
        metric="analyses_finished",
        text="Analyses whose results were kept.",
    ),
    Counted(
        event="analysis_unsuitable",
        metric="series_unsuitable",
        text="Series that were not analysed, by the code of the reason (docs/reasons.md).",
        labels={"reason": "reason"},
        code=True,
    ),
    Counted(
        event="analysis_failed",
        metric="series_failed",
        text="Series whose analysis failed for good.",
    ),
    Counted(
        event="analysis_lost",
        metric="analyses_lost",
        text="Analyses that came to no end, and are tried again.",
    ),
    Counted(
        event="analysis_superseded",
        metric="analyses_superseded",
        text="Analyses that were overtaken by a later instance or wish.",
    ),
    Counted(
        event="analysis_held",
        metric="analyses_held",
        text="Times that no analysis could be begun, as while the database is away.",
    ),
    Counted(
        event="notice_not_made",
        metric="notices_not_made",
        text="Notices of series not analysed that could not be made.",
    ),
    Counted(
        event="delivery_accepted",
        metric="deliveries_accepted",
        text="Objects that a destination took.",
        labels=RECEIVER,
        amount="objects",
    ),
    Counted(
        event="delivery_postponed",
        metric="deliveries_postponed",
        text="Attempts to deliver an object that will be made again.",
        labels=RECEIVER,
        amount="objects",
    ),
    Counted(
        event="delivery_declined",
        metric="deliveries_declined",
        text="Objects of a class that a destination does not take.",
        labels=RECEIVER,
        amount="objects",
    ),
    Counted(
        event="delivery_refused",
        metric="deliveries_refused",
        text="Objects that a destination refused, or that were given up.",
        labels=RECEIVER,
        amount="objects",
    ),
    Counted(
        event="commitment_requested",
        metric="commitments_requested",
        text="Objects for which storage commitment was asked.",
        labels=RECEIVER,
        amount="objects",
    ),
    Counted(
        event="commitment_given_up",
        metric="commitments_given_up",
        text="Objects for which storage commitment never came.",
        labels=RECEIVER,
        amount="objects",
    ),
    Counted(
        event="feedback_received",
        metric="feedback_documents",
        text="Series of rejection notes and assessments that came back.",
    ),
    Counted(
        event="report_kept",
        metric="reports_kept",
        text="Signed reports that were read, by what they say of COVID-19.",
        labels={"answer": "answer"},
    ),
    Counted(
        event="report_passed_over",
        metric="reports_passed_over",
        text="Messages without a signed report, such as preliminary ones.",
    ),
    Counted(
        event="report_refused",
        metric="reports_refused",
        text="Messages that were refused: their senders know.",
        amount="times",
    ),
    Counted(
        event="earlier_study_fetched",
        metric="earlier_studies_fetched",
        text="Earlier studies that an archive sent.",
    ),
    Counted(
        event="earlier_study_not_found",
        metric="earlier_studies_not_found",
        text="Searches for earlier studies that were given up.",
    ),
    Counted(
        event="series_purged",
        metric="series_purged",
        text="Series whose files were removed for their age.",
    ),
    Counted(
        event="scanner_changed",
        metric="scanner_news",
        text="Scanners, kernels and software versions that were new.",
    ),
    Counted(
        event="drift_found",
        metric="drifts",
        text="Figures of scanners that were found changed.",
        labels={"figure": "figure"},
    ),
    Counted(
        event="shadow_finished",
        metric="shadow_analyses",
        text="Analyses by a second model, which deliver nothing.",
    ),
    Counted(
        event="shadow_failed",
        metric="shadow_failures",
        text="Series, and times, in which a second model came to nothing.",
    ),
    Counted(
        event="disagreement_found",
        metric="disagreements",
        text="Lines on which the database and the storage folder disagree.",
        labels={"kind": "kind"},
    ),
    Counted(
        event="engine_away",
        metric="engine_losses",
        text="Times that the engine was not to be reached.",
    ),
    Counted(
        event="worker_restarted",
        metric="worker_restarts",
        text="Workers that were restarted because their task took too long.",
    ),
    Counted(
        event="worker_left_out",
        metric="workers_left_out",
        text="Times that a worker was found unfit.",
    ),
    Counted(
        event="job_failed",
        metric="jobs_failed",
        text="Runs of the node's own jobs that failed.",
        labels={"job": "job"},
    ),
    Counted(
        event="part_restarted",
        metric="parts_restarted",
        text="Parts of the node that had ended and were started again.",
        labels={"part": "part"},
    ),
    Counted(
        event="log_lines_lost",
        metric="log_lines_lost",
        text="Lines of the log that could not be written.",
        amount="lines",
    ),
    Counted(
        event="audit_dropped",
        metric="audit_messages_dropped",
        text="Audit messages that no server took.",
        amount="messages",
        without=0.0,  # the first line tells only that some are being lost
    ),
    Counted(event="clock_jumped", metric="clock_jumps", text="Times that the clock was set."),
    Counted(
        event="settings_taken_up",
        metric="settings_taken_up",
        text="Changes of the INI file that were taken up.",
    ),
    Counted(
        event="settings_refused",
        metric="settings_refused",
        text="Changes of the INI file that were refused: the last good settings hold.",
    ),
)
"""Every counter, with the event that it follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """How one event enters durations into one histogram.

    Attributes
    ----------
    durations
        Gives the label's values and the seconds of an event.
    """

    event: str
    metric: str
    text: str
    labels: tuple[str, ...]
    durations: Callable[[Event], Iterable[tuple[tuple[str, ...], float]]]


def _waited(event: Event) -> Iterator[tuple[tuple[str, ...], float]]:
    yield (str(event["closed_by"]),), float(event["waited_seconds"])


def _stages(event: Event) -> Iterator[tuple[tuple[str, ...], float]]:
    for stage, seconds in event["seconds"].items():
        yield (str(stage),), float(seconds)


def _whole(event: Event) -> Iterator[tuple[tuple[str, ...], float]]:
    yield (), float(sum(event["seconds"].values()))


TIMED: Sequence[Timed] = (
    Timed(
        event="series_closed",
        metric="closing_wait_seconds",
        text="From the last image of a series until it was closed.",
        labels=("proof",),
        durations=_waited,
    ),
    Timed(
        event="analysis_finished",
        metric="stage_seconds",
        text="Stages of an analysis.",
        labels=("stage",),
        durations=_stages,
    ),
    Timed(
        event="analysis_finished",
        metric="analysis_seconds",
        text="Whole analyses, from the first file that is read to the packed results.",
        labels=(),
        durations=_whole,
    ),
    Timed(
        event="shadow_finished",
        metric="shadow_seconds",
        text="Analyses by a second model, from the first file that is read.",
        labels=(),
        durations=_whole,
    ),
)
"""Every histogram, with the event that it follows."""


class EventMetrics:
    """Counters and histograms that follow the log.

    Parameters
    ----------
    registry
        Where they are registered.
    is_of_self_test
        Tells by its UID whether a series is of the self-test: it is not counted.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        is_of_self_test: Callable[[str], bool] = lambda uid: False,
    ) -> None:
        self._is_of_self_test = is_of_self_test
        self._values: dict[str, set[str]] = {}  #: seen of each label
        self._lock = threading.Lock()
        self._acts: dict[str, list[Callable[[Event], None]]] = {}
        for counted in COUNTED:
            self._acts.setdefault(counted.event, []).append(self._counting(counted, registry))
        for timed in TIMED:
            self._acts.setdefault(timed.event, []).append(self._timing(timed, registry))

    def take(self, event: Event) -> None:
        """Enter an event of the log; any thread may call."""
        acts = self._acts.get(str(event["event"]), ())
        if acts and self._is_of_self_test(str(event.get("series_uid", ""))):
            return
        for act in acts:
            act(event)

    def _counting(self, counted: Counted, registry: CollectorRegistry) -> Callable[[Event], None]:
        fields = dict(counted.labels or {})
        counter = Counter(
            counted.metric, counted.text, tuple(fields), namespace="dicom_node", registry=registry
        )

        def act(event: Event) -> None:
            values = [str(event.get(field, "")) for field in fields.values()]
            if counted.code:
                values = [value.partition(":")[0].partition(" ")[0] for value in values]
            amount = float(event.get(counted.amount, counted.without)) if counted.amount else 1.0
            self._child(counter, fields, values).inc(amount)

        return act

    def _timing(self, timed: Timed, registry: CollectorRegistry) -> Callable[[Event], None]:
        histogram = Histogram(
            timed.metric,
            timed.text,
            timed.labels,
            namespace="dicom_node",
            registry=registry,
            buckets=SECONDS,
        )

        def act(event: Event) -> None:
            for values, seconds in timed.durations(event):
                self._child(histogram, timed.labels, values).observe(seconds)

        return act

    def _child(self, metric: Kind, labels: Iterable[str], values: Iterable[str]) -> Kind:
        """Give what counts for these values of the labels."""
        bounded = [self._bounded(label, it) for label, it in zip(labels, values, strict=True)]
        return metric.labels(*bounded) if bounded else metric

    def _bounded(self, label: str, value: str) -> str:
        """Give the value of a label, or `OTHER` where there are too many."""
        with self._lock:
            seen = self._values.setdefault(label, set())
            if value not in seen and len(seen) >= MAX_VALUES:
                return OTHER
            seen.add(value)
            return value
