"""From a closed series to kept results: claims series, hands them to the engine, settles."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from dicom_node import task
from dicom_node.engine import Task
from dicom_node.errors import EngineLost
from dicom_node.logs import log
from dicom_node.store import Store
from dicom_node.task import Analysed, Analyser, Request, SourceFile, Unsuitable
from pipeline.encode.identity import ReportReference
from pipeline.errors import ModelError
from storage.errors import StaleState
from storage.outbox import keep_results, reuse_result
from storage.results import NewObject, NewResult, has_result, report_of
from storage.series import SeriesTicket, claim_next, give_back, mark_failed, mark_unsuitable
from storage.states import SeriesState

Answer = Analysed | Unsuitable


class Workers(Protocol):
    """What the analyst needs of the engine."""

    @property
    def slots(self) -> int:
        """How many tasks run at the same time."""
        ...

    def submit(self, function: Callable[[Request], Answer], request: Request, /) -> Task[Answer]:
        """Hand a task to a worker."""
        ...

    def restart(self) -> None:
        """Restart every worker."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """When to give a series up.

    Attributes
    ----------
    attempts
        Tries before a series has failed.
    task_timeout_seconds
        Time after which a task counts as hung.
    """

    attempts: int
    task_timeout_seconds: float


class Analyst:
    """Keeps the engine busy with closed series and keeps what comes out."""

    def __init__(
        self,
        *,
        workers: Workers,
        analyser: Analyser,
        patience: Patience,
        store: Store,
        destinations: Iterable[str],
        when_done: Callable[[SeriesTicket, Task[Answer]], None],
    ) -> None:
        self._workers = workers
        self._analyser = analyser
        self._patience = patience
        self._sessions, self._inbox, self._clock = store.sessions, store.inbox, store.clock
        self._destinations = tuple(destinations)
        self._when_done = when_done
        self._running: dict[str, tuple[float, Task[Answer]]] = {}
        self._idle = threading.Condition()

    def dispatch(self) -> None:
        """Hand closed series to the engine while it has a free worker."""
        self._end_overdue()
        while len(self._running) < self._workers.slots:
            with self._sessions.begin() as session:
                ticket = claim_next(session, self._clock())
            if ticket is None:
                return
            if ticket.attempts > self._patience.attempts:  # the node itself went down each time
                self._failed(ticket, f"{ticket.attempts - 1} attempts, none came to an end")
            else:
                self._submit(ticket)

    def _submit(self, ticket: SeriesTicket) -> None:
        log.info(
            "analysis_started",
            series_uid=ticket.series_instance_uid,
            generation=ticket.generation,
            attempt=ticket.attempts,
            instances=len(ticket.paths),
        )
        job = self._workers.submit(task.run, self._request(ticket))
        with self._idle:
            self._running[ticket.series_instance_uid] = (time.monotonic(), job)
        job.when_done(lambda done: self._when_done(ticket, done))

    def _request(self, ticket: SeriesTicket) -> Request:
        files = zip(ticket.paths, ticket.sop_instance_uids, ticket.digests, strict=True)
        return Request(
            series_instance_uid=ticket.series_instance_uid,
            generation=ticket.generation,
            files=tuple(
                SourceFile(path=self._inbox.locate(path), sop_instance_uid=uid, digest=digest)
                for path, uid, digest in files
            ),
            analyser=self._analyser,
            created=self._clock(),
            predecessor=self._predecessor(ticket),
        )

    def _predecessor(self, ticket: SeriesTicket) -> ReportReference | None:
        if ticket.predecessor_key is None:
            return None
        with self._sessions() as session:
            report = report_of(session, ticket.predecessor_key)
        if report is None:
            return None
        return ReportReference(
            sop_class_uid=report.sop_class_uid,
            sop_instance_uid=report.sop_instance_uid,
            series_instance_uid=report.series_instance_uid,
            study_instance_uid=ticket.study_instance_uid,
        )

    def settle(self, ticket: SeriesTicket, job: Task[Answer]) -> None:
        """Keep what a task came to."""
        try:
            self._settle(ticket, job)
        except StaleState as stale:
            log.warning(
                "analysis_superseded", series_uid=ticket.series_instance_uid, reason=str(stale)
            )
        finally:
            with self._idle:
                self._running.pop(ticket.series_instance_uid, None)
                self._idle.notify_all()

    def _settle(self, ticket: SeriesTicket, job: Task[Answer]) -> None:
        try:
            answer = job.result()
            if isinstance(answer, Unsuitable):
                self._unsuitable(ticket, answer)
            else:
                self._keep(ticket, answer)
        except StaleState:
            raise
        except ModelError as fault:
            self._failed(ticket, f"model: {fault}")
        except EngineLost as lost:
            self._try_again(ticket, str(lost))
        except Exception as fault:  # noqa: BLE001  # thread border: the state must be settled
            log.exception("job_failed", job="analysis", series_uid=ticket.series_instance_uid)
            self._try_again(ticket, f"{type(fault).__name__} during the analysis; see the log")

    def _unsuitable(self, ticket: SeriesTicket, answer: Unsuitable) -> None:
        reason = f"{answer.code}: {answer.text}"
        with self._sessions.begin() as session:
            mark_unsuitable(session, ticket, self._clock(), reason=reason)
        log.info("analysis_unsuitable", series_uid=ticket.series_instance_uid, reason=reason)

    def _keep(self, ticket: SeriesTicket, answer: Analysed) -> None:
        """Keep results: files first, then everything else in one transaction.

        A result that is kept already stands, files and all: it may have been sent.
        """
        with self._sessions() as session:
            known = has_result(session, answer.key)
        folder = "" if known else self._inbox.keep_result(answer.key, files_of(answer))
        now = self._clock()
        with self._sessions.begin() as session:
            state = (
                reuse_result(session, ticket, answer.key, self._destinations, now)
                if known
                else keep_results(
                    session,
                    ticket,
                    new_result(answer, folder),
                    [new_object(each, f"{folder}/{n}") for n, each in named(answer)],
                    destinations=self._destinations,
                    now=now,
                )
            )
        log.info(
            "analysis_superseded" if state is SeriesState.RECEIVING else "analysis_finished",
            series_uid=ticket.series_instance_uid,
            generation=ticket.generation,
            objects=len(answer.objects),
            seconds=answer.seconds,
        )

    def _try_again(self, ticket: SeriesTicket, reason: str) -> None:
        if ticket.attempts >= self._patience.attempts:
            self._failed(ticket, f"{ticket.attempts} attempts: {reason}")
            return
        with self._sessions.begin() as session:
            give_back(session, ticket, self._clock(), reason=reason)
        log.warning("analysis_lost", series_uid=ticket.series_instance_uid, reason=reason)

    def _failed(self, ticket: SeriesTicket, reason: str) -> None:
        with self._sessions.begin() as session:
            mark_failed(session, ticket, self._clock(), reason=reason)
        log.error("analysis_failed", series_uid=ticket.series_instance_uid, reason=reason)

    def _end_overdue(self) -> None:
        """Restart the workers if a task hangs; its loss is settled like any other."""
        deadline = time.monotonic() - self._patience.task_timeout_seconds
        with self._idle:
            overdue = [job for since, job in self._running.values() if since < deadline]
        if overdue:
            log.error("engine_restarted", tasks=len(overdue))
            self._workers.restart()

    def wait_until_idle(self, *, seconds: float) -> bool:
        """Wait for what runs, at most so long; say whether all of it was settled."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._running, seconds)


def named(answer: Analysed) -> list[tuple[str, task.EncodedObject]]:
    """Give each object a file name, in the order of sending."""
    return [(f"{n:04d}-{each.kind}.dcm", each) for n, each in enumerate(answer.objects)]


def files_of(answer: Analysed) -> dict[str, bytes]:
    """Name the files of a result."""
    return {name: each.part10 for name, each in named(answer)}


def new_result(answer: Analysed, folder: str) -> NewResult:
    """Turn an answer of the engine into its row."""
    return NewResult(
        key=answer.key,
        model=answer.model,
        score=answer.score,
        positive=answer.positive,
        summary=json.dumps(answer.summary),
        folder=folder,
    )


def new_object(encoded: task.EncodedObject, path: str) -> NewObject:
    """Turn an encoded object into its row."""
    return NewObject(
        sop_instance_uid=encoded.sop_instance_uid,
        kind=encoded.kind,
        sop_class_uid=encoded.sop_class_uid,
        series_instance_uid=encoded.series_instance_uid,
        transfer_syntax_uid=encoded.transfer_syntax_uid,
        path=path,
    )
