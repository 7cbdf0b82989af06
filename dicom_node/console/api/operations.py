"""Operations of the API: one table, of which routes and OpenAPI document are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from starlette.exceptions import HTTPException

from config.destinations import Destination
from config.reader import DESTINATIONS
from dicom_node.console.access.people import Role
from dicom_node.console.api import answers
from dicom_node.console.api.queries import LimitQuery, Query, SeriesQuery
from dicom_node.console.context import Console
from dicom_node.console.pages.worklist import node_fault
from dicom_node.console.parameters import UID, cursor
from dicom_node.console.words import standing, steps
from dicom_node.node_status import NodeStatus, Paused, read_status
from storage.console.changes import latest_changes
from storage.console.login_tries import failed_logins
from storage.console.node_pages import backlog, sender_lines
from storage.console.series_page import series_page
from storage.console.worklist import Line, worklist
from storage.delivery.pauses import Pause, pauses
from storage.overview import quarantine_counts, refusal_lines
from storage.results.named_answer import answer_of
from storage.series.closings import waits

SENDER_DAYS = 7  #: that senders look back, as on their page
WAIT_DAYS = 30  #: of which closings are summed up, as by the command
MEASURES = (
    "notice",
    "threshold",
    "operating_point",
    "scanner_bounds",
    "involvement",
    "lungs_ml",
    "opacities_ml",
    "low_attenuation_ml",
    "lobes",
    "lesions",
    "doubts",
)
"""What is told of the summary of a result: no earlier studies, no sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request: of whom, with what in its path and query."""

    console: Console
    path: dict[str, str]
    query: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that can be asked for.

    Attributes
    ----------
    path
        Below ``/api/v1``.
    role
        Least role of its token; None if it needs none.
    answer
        Type of its answer, a dataclass.
    """

    path: str
    name: str
    summary: str
    answer: type
    act: Callable[[Asked], Any]
    role: Role | None = Role.VIEWER
    query: type[Query] = Query


def ready(asked: Asked) -> answers.Ready:
    """Say whether the node runs and takes instances, as `dicom-node ready` does."""
    reason = node_fault(asked.console)
    return answers.Ready(ready=not reason, reason=reason)


def status(asked: Asked) -> NodeStatus:
    """Give what `dicom-node status` shows; comments and names of readers are left out."""
    console = asked.console
    found = read_status(console.settings(), console.sessions, asked.query.limit, console.clock())
    series = tuple(
        replace(
            line,
            answers=tuple(replace(one, comment="", observer="") for one in line.answers),
        )
        for line in found.series
    )
    return replace(found, series=series)


def waiting(asked: Asked) -> answers.Waits:
    """Say what waiting for the end of series has cost, by sender."""
    console = asked.console
    with console.sessions.reading() as session:
        lines = waits(session, console.clock() - timedelta(days=WAIT_DAYS))
    return answers.Waits(days=WAIT_DAYS, senders=tuple(lines))


def series_list(asked: Asked) -> answers.SeriesPage:
    """List series."""
    console, query = asked.console, asked.query
    try:
        wanted = query.as_filter(console.clock())
    except (ValueError, OverflowError) as fault:
        raise HTTPException(400, "expected a day, and `before` as `older` gave it") from fault
    with console.sessions.reading() as session:
        lines = worklist(session, wanted, query.limit + 1)
    shown = lines[: query.limit]
    is_last = len(lines) == len(shown)
    return answers.SeriesPage(
        series=tuple(map(_summary, shown)),
        older=None if is_last else cursor(shown[-1].last_at, shown[-1].series_instance_uid),
    )


def one_series(asked: Asked) -> answers.SeriesAnswer:
    """Give everything about a series but its pictures."""
    uid = asked.path["uid"]
    with asked.console.sessions.reading() as session:
        found = series_page(session, uid) if UID.fullmatch(uid) else None
    if found is None:
        raise HTTPException(404, "there is no such series")
    return answers.SeriesAnswer(
        series=_summary(found.line),
        steps=tuple(
            answers.Step(mark=step.mark, text=step.text, at=step.at, details=step.details)
            for step in steps(found)
        ),
        results=tuple(
            answers.ResultSummary(
                revision=result.revision,
                generation=result.generation,
                created_at=result.created_at,
                model=result.model,
                score=result.score,
                answer=answer_of(result.score, result.positive) or None,
                positive=result.positive,
                purged_at=result.purged_at,
            )
            for result in found.results
        ),
        deliveries=tuple(answers.DeliverySummary(**asdict(line)) for line in found.deliveries),
        measures={
            name: found.line.summary[name] for name in MEASURES if name in found.line.summary
        },
    )


def destinations(asked: Asked) -> answers.Destinations:
    """List the destinations, and what waits for them."""
    console = asked.console
    known = console.settings().destinations
    with console.sessions.reading() as session:
        backlogs = [backlog(session, one.name) for one in known]
        paused = pauses(session)
    return answers.Destinations(
        destinations=tuple(
            answers.DestinationState(
                name=one.name,
                protocol=_protocol(one),
                enabled=one.enabled,
                states=waiting_there.states,
                oldest_at=waiting_there.oldest,
                fault=waiting_there.fault,
                next_try_at=waiting_there.fault_at,
                paused=_paused(paused.get(one.name)),
            )
            for one, waiting_there in zip(known, backlogs, strict=True)
        )
    )


def _paused(found: Pause | None) -> Paused | None:
    return None if found is None else Paused(at=found.at, by=found.by)


def _protocol(destination: Destination) -> str:
    return next(kind for kind, model in DESTINATIONS.items() if isinstance(destination, model))


def senders(asked: Asked) -> answers.Senders:
    """List who has sent, and who was turned away."""
    console = asked.console
    since = console.clock() - timedelta(days=SENDER_DAYS)
    with console.sessions.reading() as session:
        lines = sender_lines(session, since)
        refused = refusal_lines(session, asked.query.limit)
    return answers.Senders(
        days=SENDER_DAYS,
        senders=tuple(answers.SenderState(**asdict(line)) for line in lines[: asked.query.limit]),
        refused=refused,
    )


def quarantine(asked: Asked) -> answers.Quarantine:
    """Count the files in quarantine."""
    with asked.console.sessions.reading() as session:
        files, counts = quarantine_counts(session, asked.query.limit)
    return answers.Quarantine(files=files, counts=counts)


def changes(asked: Asked) -> answers.Changes:
    """List what was changed at the console, or by commands."""
    with asked.console.sessions.reading() as session:
        lines = latest_changes(session, asked.query.limit)
    return answers.Changes(changes=tuple(answers.ChangeLine(**asdict(line)) for line in lines))


def failures(asked: Asked) -> answers.FailedLogins:
    """List failed logins."""
    with asked.console.sessions.reading() as session:
        lines = failed_logins(session, asked.query.limit, asked.console.clock())
    return answers.FailedLogins(logins=tuple(answers.FailedLogin(**asdict(one)) for one in lines))


def _summary(line: Line) -> answers.SeriesSummary:
    told = standing(line)
    threshold = line.summary.get("threshold")
    return answers.SeriesSummary(
        series_instance_uid=line.series_instance_uid,
        study_instance_uid=line.study_instance_uid,
        modality=line.modality,
        calling_ae=line.calling_ae,
        state=line.state,
        standing=told.word,
        text=told.text,
        reason=line.reason,
        instances=line.instances,
        first_at=line.first_at,
        last_at=line.last_at,
        since=line.since,
        result_at=line.result_at,
        score=line.score,
        threshold=None if threshold is None else float(threshold),
        indeterminate_from=line.summary.get("indeterminate_from"),
        answer=answer_of(line.score, line.positive) or None,
        positive=line.positive,
        flags=tuple(line.summary.get("flags") or ()),
        destinations={name: dict(states) for name, states in line.destinations.items()},
    )


OPERATIONS = (
    Operation(
        path="/ready",
        name="ready",
        summary="Whether the node runs and takes instances; 503 if not. It needs no token, which"
        " adds the reason.",
        answer=answers.Ready,
        act=ready,
        role=None,
    ),
    Operation(
        path="/status",
        name="status",
        summary="What `dicom-node status` shows.",
        answer=NodeStatus,
        act=status,
        query=LimitQuery,
    ),
    Operation(
        path="/waits",
        name="waits",
        summary="What waiting for the end of series has cost, by sender.",
        answer=answers.Waits,
        act=waiting,
    ),
    Operation(
        path="/series",
        name="series",
        summary="The worklist: series, those with the latest images first, a page at a time."
        " By flag or destination it looks through the latest 30 days, unless a day is named.",
        answer=answers.SeriesPage,
        act=series_list,
        query=SeriesQuery,
    ),
    Operation(
        path="/series/{uid}",
        name="oneSeries",
        summary="One series, by its Series Instance UID.",
        answer=answers.SeriesAnswer,
        act=one_series,
    ),
    Operation(
        path="/destinations",
        name="destinations",
        summary="Destinations, and what waits for them.",
        answer=answers.Destinations,
        act=destinations,
    ),
    Operation(
        path="/senders",
        name="senders",
        summary="Who has sent in the latest 7 days, and who was turned away.",
        answer=answers.Senders,
        act=senders,
        query=LimitQuery,
    ),
    Operation(
        path="/quarantine",
        name="quarantine",
        summary="Number of files in quarantine, by sender and reason.",
        answer=answers.Quarantine,
        act=quarantine,
        query=LimitQuery,
    ),
    Operation(
        path="/changes",
        name="changes",
        summary="Who changed what, the latest first.",
        answer=answers.Changes,
        act=changes,
        role=Role.ADMIN,
        query=LimitQuery,
    ),
    Operation(
        path="/failed-logins",
        name="failedLogins",
        summary="Logins that failed, and tokens that were refused, in 90 days; the latest first.",
        answer=answers.FailedLogins,
        act=failures,
        role=Role.ADMIN,
        query=LimitQuery,
    ),
)
"""All of them; they only read."""
