"""Dispatch closed series to the engine, and keep what comes back.

A series is claimed, handed to a worker, and settled: its results are kept, or its reason. Whatever
cannot be written at the moment (full disk, locked database) is held and settled first next time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from dicom_node.analysis.before_closing.analysis_ahead import AnalysisAhead
from dicom_node.analysis.consequences import EXPECTED, AttemptPolicy, Failure, consequence_of
from dicom_node.analysis.not_analysed_notices import Notices, standing_notice
from dicom_node.analysis.outcome_writer import OutcomeWriter
from dicom_node.analysis.oversight.permission import UNRESTRICTED, Oversight, Permission
from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.tasks_in_hand import TasksInHand
from dicom_node.analysis.worker import feedback_task, notice_task, series_task
from dicom_node.analysis.worker.messages import (
    Analysed,
    AnalysisRequest,
    Answered,
    EncodedObject,
    NoticeRequest,
    TaskResult,
    Unchanged,
    Unsuitable,
)
from dicom_node.analysis.workers import AnalysisTask, Executor, R, Workers
from dicom_node.errors import (
    AlteredFile,
    AnalysisFault,
    EngineAway,
    EngineLost,
    FolderAway,
    NoNotice,
    NoWorker,
)
from dicom_node.health import WorkerLoad
from dicom_node.logs import log
from dicom_node.resources import Resources
from pipeline.reasons import UnsuitableReason
from storage.delivery.notices import Ending
from storage.errors import DatabaseUnavailable, StaleState, StorageFull, StorageUnwritable
from storage.files.folder_fault import storage_fault
from storage.results.answers import are_images_rejected
from storage.results.priors import is_own, own_instances
from storage.series.lifecycle import OpenSeries, SeriesTicket, claim_next, give_back
from storage.states import SeriesState

OWN = Unsuitable(code=UnsuitableReason.OWN_RESULT, text="The series is a result of this node.")

IMAGES_REJECTED = Ending(
    state=SeriesState.UNSUITABLE,
    reason=f"{UnsuitableReason.IMAGES_REJECTED}: A document rejects the images of the series.",
)

SWITCHED_OFF = Unsuitable(
    code=UnsuitableReason.SWITCHED_OFF, text="The analysis is switched off at this site."
)

NOTICE_TRIES = 2  #: a notice whose making kills so many workers is given up
URGENT, USUAL, RERUN = 1, 0, -1  #: priorities of tasks
CANNOT_WRITE = (StorageFull, StorageUnwritable, DatabaseUnavailable)  #: what came of it is held
MODEL_PART = "model"  #: part that says whether series may be analysed
PART = "results"  #: part of the node whose condition the dispatcher reports


def _failed(failure: Failure) -> Ending:
    return Ending(state=SeriesState.FAILED, reason=failure.reason)


def removed(ticket: SeriesTicket) -> Unsuitable:
    """Say that what came late cannot be analysed: the rest is gone."""
    total = ticket.purged + len(ticket.paths)
    return Unsuitable(
        code=UnsuitableReason.INSTANCES_REMOVED,
        text=f"{ticket.purged} of its {total} instances are not kept any more:"
        " the whole series must be sent again.",
    )


def went_down(ticket: SeriesTicket) -> str:
    """Say that the node itself went down each time that it had a series analysed."""
    return f"{ticket.attempts - 1} attempts, none came to an end; dicom-node reprocess tries again"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingNotice:
    """A series that ends as soon as its notice is made, or given up.

    Attributes
    ----------
    tries
        Workers that were asked for the notice.
    """

    ticket: SeriesTicket
    ending: Ending
    request: NoticeRequest
    tries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchRules:
    """What the settings say of analyses.

    Attributes
    ----------
    outcomes
        Writes down how analyses end.
    oversight
        Says whether series may be analysed.
    """

    request_builder: RequestBuilder
    notices: Notices
    policy: AttemptPolicy
    outcomes: OutcomeWriter
    oversight: Oversight = UNRESTRICTED


@dataclass(slots=True, kw_only=True, eq=False)
class AnalysisDispatcher:
    """Keep the engine busy with closed series, and keep what comes back.

    Attributes
    ----------
    outcomes
        Writes down how analyses end.
    executor
        Runs the settling of a finished task: the engine's own thread must not wait for the disk.
    wake
        Called when a task was settled: there may be room for the next, and results to deliver.
    oversight
        Says whether series may be analysed.
    make_way
        Called when a worker is about to get a task, for whoever has one that can wait.
    _failed_at
        Workers at which a series has failed: it goes to others, as long as there are any.
    """

    resources: Resources
    workers: Workers
    request_builder: RequestBuilder
    notices: Notices
    policy: AttemptPolicy
    outcomes: OutcomeWriter
    executor: Executor
    wake: Callable[[], None]
    oversight: Oversight = UNRESTRICTED
    make_way: Callable[[], object] = bool
    _failed_at: dict[str, frozenset[str]] = field(default_factory=dict, init=False)
    _in_hand: TasksInHand = field(default_factory=TasksInHand, init=False)
    _ahead: AnalysisAhead = field(init=False)
    _expected: OpenSeries | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Begin without a series."""
        self._ahead = AnalysisAhead(self.workers)

    def take(self, rules: DispatchRules) -> None:
        """Begin further analyses by other rules; those that run keep what they began with."""
        self.request_builder, self.notices = rules.request_builder, rules.notices
        self.policy, self.outcomes = rules.policy, rules.outcomes
        self.oversight = rules.oversight

    @property
    def permission(self) -> Permission:
        """What may be done now."""
        return self.oversight.permission(self.resources.clock().astimezone().date())

    @property
    def is_idle(self) -> bool:
        """Whether series may be analysed, and none is with a worker, or about to be closed."""
        has_none = not len(self._in_hand) and self._expected is None
        return has_none and self._ahead.running is None and self.permission.analyses

    def expect(self, series: OpenSeries) -> None:
        """Note a series that is about to be closed; the next dispatch may begin with it."""
        self._expected = series

    def dispatch(self) -> None:
        """Hand closed series to the engine while it has a free worker.

        A series that is held keeps its worker's place: nothing more is computed meanwhile. While
        the storage folder is away, all wait; while nothing may be analysed, all but documents.
        """
        self._end_overdue()
        if storage_fault(self.resources.folder):
            return
        self._settle_held()
        permission = self.permission
        self._tell(permission)
        waits = not (permission.analyses or permission.ends)
        while len(self._in_hand) < self.workers.slots:
            with self.resources.sessions.begin() as session:
                ticket = claim_next(
                    session,
                    self.resources.clock(),
                    self.policy.urgent_aes,
                    documents_only=waits,
                )
            if ticket is None:
                if permission.analyses:
                    self._begin_ahead()
                return
            self._forget_expected(ticket)
            self._begin(ticket)

    def _tell(self, permission: Permission) -> None:
        if permission.fault:
            self.resources.health.fault(MODEL_PART, permission.fault)
        else:
            self.resources.health.well(MODEL_PART)

    def _forget_expected(self, ticket: SeriesTicket) -> None:
        """Forget that a series is about to be closed, now that it is."""
        expected = self._expected
        if expected and expected.series_instance_uid == ticket.series_instance_uid:
            self._expected = None

    def _begin_ahead(self) -> None:
        """Begin with a series that is about to be closed, if there is nothing else to do.

        Never with more than one at a time.
        """
        series, self._expected = self._expected, None
        if series is not None and not len(self._in_hand):
            self.make_way()
            self._ahead.begin(series, partial(self.request_builder.build_ahead, series))

    def _begin(self, ticket: SeriesTicket) -> None:
        """Hand a claimed series to the engine, unless it can be seen beforehand how it ends."""
        with self._settling_faults(ticket, again=partial(self._begin, ticket)):
            if ticket.of_documents:
                self._begin_reading(ticket)
                return
            if self._ends_at_once(ticket):
                return
            if ticket.attempts > self.policy.attempts:  # the node itself went down each time
                failure, why = Failure(reason=went_down(ticket)), "the node itself went down"
                if ticket.attempts > self.policy.attempts + 1:  # by the notice as well
                    self.outcomes.end(ticket, _failed(failure), no_notice=why)
                else:
                    self._end_failed(ticket, failure)
            else:
                self._submit(ticket, self.request_builder.build(ticket))

    def _ends_at_once(self, ticket: SeriesTicket) -> bool:
        """End a series that nobody need look at; False if there is none such reason."""
        uid = ticket.series_instance_uid
        with self.resources.sessions() as session:
            own = is_own(session, uid, ticket.sop_instance_uids)
            rejected = are_images_rejected(session, uid)
        if own:
            self._end_unsuitable(ticket, OWN)
        elif rejected:
            self.outcomes.end(ticket, IMAGES_REJECTED)
        elif self.permission.ends and not ticket.of_self_test:
            self._end_switched_off(ticket)
        elif ticket.purged and not ticket.rerun:
            self._end_unsuitable(ticket, removed(ticket))
        else:
            return False
        return True

    def _begin_reading(self, ticket: SeriesTicket) -> None:
        """Have documents read as answers to results, unless they are results themselves."""
        with self.resources.sessions() as session:
            own = own_instances(session, ticket.sop_instance_uids)
        request = self.request_builder.build_for_feedback(ticket, own)
        if own and not request.files:
            self._end_unsuitable(ticket, OWN)
        elif not request.files:
            self._end_unsuitable(ticket, removed(ticket))
        elif ticket.attempts > self.policy.attempts:
            self._end_failed(ticket, Failure(reason=went_down(ticket)))
        else:
            self._run(ticket, feedback_task.read_feedback, request, self._enter)

    def _submit(self, ticket: SeriesTicket, request: AnalysisRequest) -> None:
        log.info(
            "analysis_started",
            series_uid=ticket.series_instance_uid,
            generation=ticket.generation,
            attempt=ticket.attempts,
            instances=len(ticket.paths),
            priors=len(request.priors),
            wish=ticket.rerun,
        )

        def early(fetch: Callable[[], TaskResult]) -> None:
            self.executor(partial(self._begin_results, ticket, fetch))

        at = self._ahead.take_worker(ticket.series_instance_uid)
        self._run(ticket, series_task.run, request, self._enter, early, at=at)

    def _begin_results(self, ticket: SeriesTicket, fetch: Callable[[], TaskResult]) -> None:
        """Keep the objects that come first; where that fails, they come again with the others."""
        uid = ticket.series_instance_uid
        try:
            match fetch():
                case Analysed() as analysed if self.outcomes.begin(ticket, analysed):
                    log.info("results_begun", series_uid=uid, objects=len(analysed.objects))
                    self.wake()
        except (EngineAway, *CANNOT_WRITE) as fault:
            log.info("results_not_begun", series_uid=uid, reason=type(fault).__name__)
        except Exception:  # noqa: BLE001  # thread border: the whole result is still to come
            log.exception("job_failed", job="analysis", series_uid=uid)

    def _run(
        self,
        ticket: SeriesTicket,
        function: Callable[..., TaskResult],
        request: R,
        enter: Callable[[SeriesTicket, AnalysisTask], None],
        early: Callable[[Callable[[], TaskResult]], None] | None = None,
        at: str = "",
    ) -> None:
        """Have a worker run a task; enter what it came to, on a thread that may wait.

        Where one worker has begun with the series ahead, it is that one.
        """
        self.make_way()
        task = self.workers.submit(
            function,
            request,
            priority=self._priority(ticket),
            avoid=self._avoided(ticket.series_instance_uid, at),
            early=early,
        )
        self._in_hand.add(ticket.series_instance_uid, task)
        task.when_done(lambda done: self.executor(partial(self._settle, ticket, done, enter)))

    def _avoided(self, uid: str, at: str) -> frozenset[str]:
        """Name the workers at which a series failed; all but the one that has begun it ahead."""
        failed_at = self._failed_at.get(uid, frozenset())
        return self.workers.fit_workers - {at} if at and at not in failed_at else failed_at

    def _priority(self, ticket: SeriesTicket) -> int:
        """Order of a series among the tasks of all nodes that share the engine."""
        if ticket.rerun:
            return RERUN
        return URGENT if ticket.urgent or ticket.calling_ae in self.policy.urgent_aes else USUAL

    def settle(self, ticket: SeriesTicket, task: AnalysisTask) -> None:
        """Keep what an analysis came to, later if it cannot be written now; its worker is free."""
        self._settle(ticket, task, self._enter)

    def _settle(
        self,
        ticket: SeriesTicket,
        task: AnalysisTask,
        enter: Callable[[SeriesTicket, AnalysisTask], None],
    ) -> None:
        try:
            enter(ticket, task)
        finally:
            self._in_hand.remove(ticket.series_instance_uid, task)
        self.wake()

    def _enter(self, ticket: SeriesTicket, task: AnalysisTask) -> None:
        with self._settling_faults(ticket, again=partial(self._enter, ticket, task), task=task):
            result = task.result()
            self._note_success(ticket, task)
            match result:
                case Unsuitable() as unsuitable:
                    self._end_unsuitable(ticket, unsuitable)
                case Unchanged():
                    self.outcomes.reuse(ticket, ticket.predecessor_key)
                case Analysed() as analysed:
                    self.outcomes.keep(ticket, analysed)
                case Answered() as answered:
                    self.outcomes.answer(ticket, answered)

    @contextmanager
    def _settling_faults(
        self,
        ticket: SeriesTicket,
        again: Callable[[], None],
        task: AnalysisTask | None = None,
    ) -> Iterator[None]:
        """Settle a series whatever happens in the block (thread border).

        A fault ends the series, or has it tried again. Where nothing can be written, `again` is
        held for the next dispatch.
        """
        uid = ticket.series_instance_uid
        try:
            try:
                yield
            except (StaleState, *CANNOT_WRITE):
                raise
            except Exception as raised:  # thread border: the state must be settled
                fault = self._or_folder_away(raised)
                if isinstance(fault, NoWorker) and task is not None:
                    raise  # what the task came to stands, and waits for a worker for its notice
                if not isinstance(fault, EXPECTED):
                    log.exception("job_failed", job="analysis", series_uid=uid)
                self._settle_fault(ticket, fault, task.worker if task else "")
        except StaleState as stale:
            log.warning("analysis_superseded", series_uid=uid, reason=str(stale))
        except (NoWorker, *CANNOT_WRITE) as fault:
            reason = type(fault).__name__ if isinstance(fault, StorageFull) else str(fault)
            log.error("analysis_held", series_uid=uid, reason=reason)
            if not isinstance(fault, NoWorker):  # of which the engine tells
                self.resources.health.fault(PART, f"what a series came to is not kept: {fault}")
            self._in_hand.hold(uid, again)

    def _settle_held(self) -> None:
        for again in self._in_hand.take_held():
            again()
        if not self._in_hand.holds_any:
            self.resources.health.well(PART)

    def _or_folder_away(self, fault: Exception) -> Exception:
        """Give the fault, or `FolderAway` where that may be its cause."""
        of_files = isinstance(fault, OSError) or (
            isinstance(fault, AnalysisFault) and fault.of_the_worker
        )
        away = storage_fault(self.resources.folder) if of_files else ""
        return FolderAway(away) if away else fault

    def _note_success(self, ticket: SeriesTicket, task: AnalysisTask) -> None:
        self._failed_at.pop(ticket.series_instance_uid, None)
        self.workers.record_success(task.worker)

    def _settle_fault(self, ticket: SeriesTicket, fault: Exception, worker: str) -> None:
        """Do what follows from a fault: for the series, and for the worker, if one had begun."""
        uid = ticket.series_instance_uid
        failed_at = self._failed_at.get(uid, frozenset()) | {worker}
        fit = self.workers.fit_workers
        unanimous = not worker or (bool(fit) and fit <= failed_at)  # no worker: it was the node
        consequence = consequence_of(fault, ticket, self.policy, unanimous=unanimous)
        if isinstance(consequence, Failure):
            self._end_failed(ticket, consequence)
            self._failed_at.pop(uid, None)
            return
        now = self.resources.clock()
        with self.resources.sessions.begin() as session:
            give_back(
                session,
                ticket,
                now,
                reason=consequence.reason,
                not_before=now + consequence.wait,
                counted=consequence.counted,
            )
        log.warning("analysis_lost", series_uid=uid, reason=consequence.reason, worker=worker)
        if worker and (consequence.counted or consequence.blames_worker):
            self._failed_at[uid] = failed_at
        if consequence.blames_worker and worker:
            self.workers.record_fault(worker, uid, consequence.reason)

    def _blame(self, ticket: SeriesTicket, worker: str, reason: str) -> None:
        """Record a fault of a worker, at which the series has failed."""
        uid = ticket.series_instance_uid
        self._failed_at[uid] = self._failed_at.get(uid, frozenset()) | {worker}
        self.workers.record_fault(worker, uid, reason)

    def _end_unsuitable(self, ticket: SeriesTicket, unsuitable: Unsuitable) -> None:
        reason = f"{unsuitable.code}: {unsuitable.text}"
        ending = Ending(state=SeriesState.UNSUITABLE, reason=reason)
        self._end_with_notice(ticket, ending, unsuitable.code, unsuitable.text)

    def _end_switched_off(self, ticket: SeriesTicket) -> None:
        """End a series without an analysis; of a rerun earlier results are left standing."""
        if ticket.rerun is not None:
            reason = f"{SWITCHED_OFF.code}: {SWITCHED_OFF.text}"
            self.outcomes.end(ticket, Ending(state=SeriesState.UNSUITABLE, reason=reason))
        else:
            self._end_unsuitable(ticket, SWITCHED_OFF)

    def _end_failed(self, ticket: SeriesTicket, failure: Failure) -> None:
        """End a series that needs a person. A rerun that fails leaves earlier results standing."""
        ending = _failed(failure)
        if ticket.rerun is not None and ticket.predecessor_key is not None:
            self.outcomes.end(ticket, ending)
        else:
            self._end_with_notice(ticket, ending, failure.code, failure.code.sentence)

    def _end_with_notice(self, ticket: SeriesTicket, ending: Ending, code: str, text: str) -> None:
        """End a series, once a worker has made its notice, if one is wanted.

        Never of documents, nor of the self-test.
        """
        if ticket.of_documents or ticket.of_self_test:
            self.outcomes.end(ticket, ending)
            return
        try:
            request = self.notices.request(ticket, code, text)
        except (StaleState, *CANNOT_WRITE):
            raise
        except Exception as fault:  # noqa: BLE001  # thread border: the series must end
            self.outcomes.end(ticket, ending, no_notice=type(fault).__name__)
            return
        if request is None:
            self.outcomes.end(ticket, ending)
        elif known := standing_notice(ticket, request):
            self.outcomes.end(ticket, replace(ending, notice=known))
        else:
            self._make_notice(PendingNotice(ticket=ticket, ending=ending, request=request))

    def _make_notice(self, pending: PendingNotice) -> None:
        def enter(_: SeriesTicket, task: AnalysisTask) -> None:
            self._enter_notice(pending, task)

        self._run(pending.ticket, notice_task.notice, pending.request, enter)

    def _enter_notice(self, pending: PendingNotice, task: AnalysisTask) -> None:
        """End a series with the notice that was made, or without."""
        ticket, ending = pending.ticket, pending.ending
        again = partial(self._enter_notice, pending, task)
        with self._settling_faults(ticket, again=again, task=task):
            why = ""
            try:
                match task.result():
                    case EncodedObject() as encoded:
                        notice = self.notices.keep(pending.request, encoded)
                        ending = replace(ending, notice=notice)
                    case other:
                        why = f"a notice expected, got {type(other).__name__}"
            except (StaleState, EngineAway, *CANNOT_WRITE):
                raise
            except (EngineLost, AlteredFile, AnalysisFault) as fault:
                if isinstance(away := self._or_folder_away(fault), FolderAway):
                    raise away from fault
                why = fault.kind if isinstance(fault, AnalysisFault) else str(fault)
                of_the_worker = not isinstance(fault, AnalysisFault) or fault.of_the_worker
                if of_the_worker and pending.tries < NOTICE_TRIES:
                    self._blame(ticket, task.worker, why)
                    self._make_notice(replace(pending, tries=pending.tries + 1))
                    return
            except NoNotice as fault:
                why = str(fault)
            except Exception as fault:  # noqa: BLE001  # the series must end, whatever its headers hold
                why = type(fault).__name__  # its words might quote a header
            self.outcomes.end(ticket, ending, no_notice=why)

    def _end_overdue(self) -> None:
        """End the tasks that hang, and restart their workers; their loss is settled as any other.

        The time counts from the start of a task: it may have waited behind those of other nodes.
        """
        deadline = time.monotonic() - self.policy.task_timeout_seconds
        for uid, task in self._in_hand.started_before(deadline):
            log.error("worker_restarted", series_uid=uid, worker=task.worker)
            self.workers.end(task)
        self._ahead.end_if_before(deadline)

    def loads(self) -> tuple[WorkerLoad, ...]:
        """Tell what each worker does, the free ones too."""
        now, steady = self.resources.clock(), time.monotonic()
        busy = [
            WorkerLoad(
                worker=worker,
                series_instance_uid=uid,
                since=now - timedelta(seconds=steady - started_at),
            )
            for uid, worker, started_at in self._in_hand.begun()
        ]
        ahead = self._ahead.running
        if ahead is not None and ahead.task.started_at is not None:
            since = now - timedelta(seconds=steady - ahead.task.started_at)
            uid = ahead.series.series_instance_uid
            busy.append(WorkerLoad(worker=ahead.task.worker, series_instance_uid=uid, since=since))
        free = self.workers.fit_workers - {load.worker for load in busy}
        loads = [*busy, *(WorkerLoad(worker=name) for name in free)]
        named = [replace(load, worker=self.workers.name_of(load.worker)) for load in loads]
        return tuple(sorted(named, key=lambda load: (load.worker, load.series_instance_uid)))

    def wait_until_idle(self, *, seconds: float) -> bool:
        """Wait for what runs, at most so long; say whether all of it was settled."""
        return self._in_hand.wait_until_idle(seconds=seconds)
