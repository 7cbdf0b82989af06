"""From a closed series to kept results: claims series, hands them to the engine, settles."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from dicom_node.analysis import worker
from dicom_node.analysis.engine import Task
from dicom_node.analysis.messages import (
    Analysed,
    AnalysisRequest,
    AnalysisResult,
    Unchanged,
    Unsuitable,
)
from dicom_node.analysis.notices import Notices
from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.result_rows import files_of, named, new_object, new_result
from dicom_node.errors import CannotRepeat, EngineLost
from dicom_node.logs import log
from pipeline.errors import ConformanceError, ModelError, OutOfMemory
from pipeline.series.eligibility import OWN_RESULT
from storage.delivery.notices import Ending, end_series
from storage.delivery.outbox import keep_results, reuse_result
from storage.errors import DatabaseUnavailable, StaleState, StorageFull
from storage.results.priors import is_own
from storage.results.rows import has_result
from storage.series.lifecycle import SeriesTicket, claim_next, give_back
from storage.states import SeriesState

OWN = Unsuitable(code=OWN_RESULT, text="The series is a result of this node.")

CANNOT_WRITE = (StorageFull, DatabaseUnavailable)  #: the disk is full, the database locked or away

SAID = {
    "analysis-failed": "The analysis did not come to an end; the node's administrator can see why",
    "model-fault": "The model of the AI could not be used",
    "outgoing-check": "The results did not pass the check before they are sent",
}
"""What a notice says of a failure, by its code: nothing that might name a patient."""


def removed(ticket: SeriesTicket) -> Unsuitable:
    """Say that what came late cannot be analysed: the rest is gone."""
    all_told = ticket.purged + len(ticket.paths)
    return Unsuitable(
        code="instances-removed",
        text=f"{ticket.purged} of its {all_told} instances are not kept any more:"
        " the whole series must be sent again.",
    )


class Workers(Protocol):
    """What the analyst needs of the engine."""

    @property
    def slots(self) -> int:
        """How many tasks run at the same time."""
        ...

    def submit(
        self, function: Callable[[AnalysisRequest], AnalysisResult], request: AnalysisRequest, /
    ) -> Task[AnalysisResult]:
        """Hand a task to a worker."""
        ...

    def restart(self) -> None:
        """Restart every worker."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptPolicy:
    """When to give a series up, and which others may overtake it.

    Attributes
    ----------
    attempts
        Tries before a series has failed.
    task_timeout_seconds
        Time after which a task counts as hung.
    urgent_aes
        Senders whose series go before others.
    """

    attempts: int
    task_timeout_seconds: float
    urgent_aes: frozenset[str] = frozenset()


class AnalysisDispatcher:
    """Keeps the engine busy with closed series and keeps what comes out."""

    def __init__(
        self,
        *,
        workers: Workers,
        request_builder: RequestBuilder,
        notices: Notices,
        policy: AttemptPolicy,
        destinations: Iterable[str],
        when_done: Callable[[SeriesTicket, Task[AnalysisResult]], None],
    ) -> None:
        self._workers = workers
        self._request_builder, self._notices = request_builder, notices
        self._policy = policy
        resources = request_builder.resources
        self._sessions, self._folder, self._clock = (
            resources.sessions,
            resources.folder,
            resources.clock,
        )
        self._destinations = tuple(destinations)
        self._when_done = when_done
        self._running: dict[str, tuple[float, Task[AnalysisResult]]] = {}
        self._held: dict[str, tuple[SeriesTicket, Callable[[], None]]] = {}
        self._idle = threading.Condition()

    def dispatch(self) -> None:
        """Hand closed series to the engine while it has a free worker.

        What could not be kept keeps its worker's place: nothing more is computed meanwhile.
        """
        self._end_overdue()
        self._settle_held()
        while len(self._running) + len(self._held) < self._workers.slots:
            with self._sessions.begin() as session:
                ticket = claim_next(session, self._clock(), self._policy.urgent_aes)
            if ticket is None:
                return
            self._attempt(ticket, partial(self._begin, ticket))

    def _begin(self, ticket: SeriesTicket) -> None:
        """Hand a claimed series to the engine, unless it can be seen beforehand how it ends."""
        with self._sessions() as session:
            own = is_own(session, ticket.series_instance_uid, ticket.sop_instance_uids)
        if own:
            self._unsuitable(ticket, OWN)
        elif ticket.purged and not ticket.wish:
            self._unsuitable(ticket, removed(ticket))
        elif ticket.attempts > self._policy.attempts:  # the node itself went down each time
            self._failed(
                ticket,
                f"{ticket.attempts - 1} attempts, none came to an end; dicom-node reprocess tries"
                " again",
            )
        else:
            self._submit(ticket, self._request_builder.request(ticket))

    def _submit(self, ticket: SeriesTicket, request: AnalysisRequest) -> None:
        log.info(
            "analysis_started",
            series_uid=ticket.series_instance_uid,
            generation=ticket.generation,
            attempt=ticket.attempts,
            instances=len(ticket.paths),
            priors=len(request.priors),
            wish=ticket.wish,
        )
        job = self._workers.submit(worker.run, request)
        with self._idle:
            self._running[ticket.series_instance_uid] = (time.monotonic(), job)
        job.when_done(lambda done: self._when_done(ticket, done))

    def settle(self, ticket: SeriesTicket, job: Task[AnalysisResult]) -> None:
        """Keep what a task came to; later, if it cannot be written now."""
        try:
            self._attempt(ticket, lambda: self._enter(ticket, job.result()))
        finally:
            with self._idle:
                self._running.pop(ticket.series_instance_uid, None)
                self._idle.notify_all()

    def _attempt(self, ticket: SeriesTicket, act: Callable[[], None]) -> None:
        """Take a claim a step further; what cannot be written is held for the next dispatch."""
        uid = ticket.series_instance_uid
        try:
            self._judged(ticket, act)
        except StaleState as stale:
            log.warning("analysis_superseded", series_uid=uid, reason=str(stale))
        except CANNOT_WRITE as fault:
            log.error("analysis_held", series_uid=uid, reason=type(fault).__name__)
            with self._idle:
                self._held[uid] = (ticket, act)

    def _settle_held(self) -> None:
        with self._idle:
            held, self._held = self._held, {}
        for ticket, act in held.values():
            self._attempt(ticket, act)

    def _judged(self, ticket: SeriesTicket, act: Callable[[], None]) -> None:
        """Act; a fault ends the series, or has it tried again."""
        try:
            act()
        except (StaleState, *CANNOT_WRITE):
            raise
        except CannotRepeat as reason:
            self._failed(ticket, f"{ticket.wish}: {reason}")
        except ModelError as fault:
            self._failed(ticket, f"model: {fault}", code="model-fault")
        except ConformanceError as fault:
            self._failed(ticket, f"outgoing check: {fault}", code="outgoing-check")
        except EngineLost as lost:
            self._try_again(ticket, str(lost))
        except OutOfMemory as fault:
            self._try_again(ticket, f"out of memory: {fault}")
        except Exception as fault:  # noqa: BLE001  # thread border: the state must be settled
            log.exception("job_failed", job="analysis", series_uid=ticket.series_instance_uid)
            self._try_again(ticket, f"{type(fault).__name__} during the analysis; see the log")

    def _enter(self, ticket: SeriesTicket, answer: AnalysisResult) -> None:
        match answer:
            case Unsuitable():
                self._unsuitable(ticket, answer)
            case Unchanged():
                self._reuse(ticket, answer.key)
            case Analysed():
                self._keep(ticket, answer)

    def _unsuitable(self, ticket: SeriesTicket, answer: Unsuitable) -> None:
        reason = f"{answer.code}: {answer.text}"
        notice = self._notices.notice(ticket, answer.code, answer.text)
        self._end(ticket, Ending(state=SeriesState.UNSUITABLE, reason=reason, notice=notice))
        log.info("analysis_unsuitable", series_uid=ticket.series_instance_uid, reason=reason)

    def _keep(self, ticket: SeriesTicket, answer: Analysed) -> None:
        """Keep results: files first, then everything else in one transaction.

        A result that is kept already stands, files and all: it may have been sent.
        """
        with self._sessions() as session:
            known = has_result(session, answer.key)
        if known:
            self._reuse(ticket, answer.key)
            return
        folder = self._folder.keep_result(answer.key, files_of(answer))
        with self._sessions.begin() as session:
            state = keep_results(
                session,
                ticket,
                new_result(answer, folder),
                [new_object(each, f"{folder}/{name}") for name, each in named(answer)],
                destinations=self._destinations,
                now=self._clock(),
            )
        log.info(
            "analysis_superseded" if state is SeriesState.RECEIVING else "analysis_finished",
            series_uid=ticket.series_instance_uid,
            generation=ticket.generation,
            objects=len(answer.objects),
            seconds=answer.seconds,
        )

    def _reuse(self, ticket: SeriesTicket, key: str) -> None:
        with self._sessions.begin() as session:
            reuse_result(session, ticket, key, self._destinations, self._clock())
        log.info("analysis_unchanged", series_uid=ticket.series_instance_uid, wish=ticket.wish)

    def _try_again(self, ticket: SeriesTicket, reason: str) -> None:
        if ticket.attempts >= self._policy.attempts:
            self._failed(ticket, f"{ticket.attempts} attempts: {reason}")
            return
        with self._sessions.begin() as session:
            give_back(session, ticket, self._clock(), reason=reason)
        log.warning("analysis_lost", series_uid=ticket.series_instance_uid, reason=reason)

    def _failed(self, ticket: SeriesTicket, reason: str, code: str = "analysis-failed") -> None:
        """End a series that needs a person. A wish that fails leaves earlier results standing."""
        stands = ticket.wish is not None and ticket.predecessor_key is not None
        notice = None if stands else self._notices.notice(ticket, code, SAID[code])
        self._end(ticket, Ending(state=SeriesState.FAILED, reason=reason, notice=notice))
        log.error("analysis_failed", series_uid=ticket.series_instance_uid, reason=reason)

    def _end(self, ticket: SeriesTicket, ending: Ending) -> None:
        with self._sessions.begin() as session:
            end_series(session, ticket, ending, self._destinations, self._clock())

    def _end_overdue(self) -> None:
        """Restart the workers if a task hangs; its loss is settled like any other."""
        deadline = time.monotonic() - self._policy.task_timeout_seconds
        with self._idle:
            overdue = [job for since, job in self._running.values() if since < deadline]
        if overdue:
            log.error("engine_restarted", tasks=len(overdue))
            self._workers.restart()

    def wait_until_idle(self, *, seconds: float) -> bool:
        """Wait for what runs, at most so long; say whether all of it was settled."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._running, seconds)
