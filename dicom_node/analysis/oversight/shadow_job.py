"""Have workers analyse series by a second model once their results have left; keep its figures.

Nothing is encoded, delivered or waited for. It is done while no series waits for an analysis, one
series at a time, the latest first, and makes way as soon as there is anything else to do.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any

from dicom_node.analysis.consequences import may_be_of_the_worker, reason_of
from dicom_node.analysis.engine.worker_records import Pace
from dicom_node.analysis.result_rows import KEPT
from dicom_node.analysis.worker.messages import (
    AnalysisConfig,
    ModelReference,
    Shadowed,
    ShadowRequest,
    SourceFile,
    Stopped,
    TaskResult,
    Unsuitable,
    images_request,
)
from dicom_node.analysis.worker.shadow_task import find_in_shadow, stop
from dicom_node.analysis.workers import AnalysisTask, Executor, Workers
from dicom_node.errors import EngineAway, EngineLost, NoWorker
from dicom_node.logs import log
from dicom_node.resources import Resources
from pipeline.errors import ModelError
from storage.files.folder_fault import storage_fault
from storage.results.shadow import NewShadow, ShadowSeries, enter_shadow, next_for_shadow

PART = "shadow"  #: in the condition of the node
PRIORITY = -3  #: below what is begun ahead of its closing
BACKLOG = timedelta(days=7)  #: results that are older are passed over
MOST_TRIES = 2  #: of a series at which a worker fails; then its reason is kept
STOP_SECONDS = 15.0  #: for one step; the worker of a task that takes longer is restarted
REST = Pace(first_seconds=600.0, longest_seconds=6 * 3600.0)
"""Before the model is tried again where a worker could not use it, or died; longer after each
further time, so that a model that kills its worker does so seldom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRules:
    """What the settings say of a second model.

    Attributes
    ----------
    config
        With the second model.
    first
        The model in use.
    task_timeout_seconds
        As of any analysis.
    """

    config: AnalysisConfig
    first: ModelReference
    task_timeout_seconds: float


@dataclass(slots=True, kw_only=True, eq=False)
class _Running:
    """The analysis that is under way.

    Attributes
    ----------
    stopped_at
        When it was told to end, on the monotonic clock; None before.
    timeout_seconds
        After which it hangs.
    is_cut
        Whether its worker was restarted.
    ended
        Set when it has come to its end.
    """

    series: ShadowSeries
    model: ModelReference
    token: str
    task: AnalysisTask
    timeout_seconds: float
    stopped_at: float | None = None
    is_cut: bool = False
    ended: threading.Event = field(default_factory=threading.Event)


class ShadowJob:
    """Job of the node that has a second model analyse what the first has delivered.

    It begins without a second model; `take` gives it one. `run_once` is for one thread, all else
    for any.

    Parameters
    ----------
    is_idle
        Tells whether no series is with a worker, or waits for one.
    executor
        Runs what may have to wait for a worker.
    wake
        Called when an analysis has ended.
    """

    def __init__(
        self,
        resources: Resources,
        workers: Workers,
        *,
        is_idle: Callable[[], bool],
        executor: Executor,
        wake: Callable[[], None],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resources, self._workers = resources, workers
        self.rules: ShadowRules | None = None
        self._is_idle, self._executor, self._wake = is_idle, executor, wake
        self._steady = steady
        self._running: _Running | None = None
        self._lock = threading.Lock()  #: nothing is begun while it is decided that way is made
        self._is_over = False
        self._forget()

    def _forget(self) -> None:
        """Begin without what an earlier model has done."""
        self._faults: Counter[str] = Counter()  #: by key of the result
        self._failed_at: frozenset[str] = frozenset()  #: workers, since one was of use
        self._rests, self._rests_until = 0, 0.0

    def take(self, rules: ShadowRules | None, fault: str = "") -> None:
        """Go by other settings from now on; what runs by those before is stopped.

        Parameters
        ----------
        fault
            Why there is no second model though one is named.
        """
        if fault:
            self._resources.health.fault(PART, fault)
        elif rules != self.rules or rules is None:
            self._resources.health.well(PART)
        with self._lock:
            if rules == self.rules:
                return
            self.rules = rules
            self._forget()
        self.make_way()

    def retire(self) -> None:
        """Begin no further analysis, and have the one that runs end: its worker is needed.

        `run_once` still ends it where it does not make way.
        """
        with self._lock:
            self._is_over = True
        self.make_way()

    def run_once(self) -> None:
        """Enter what has ended, end what hangs, and begin with the next series."""
        self._settle()
        self._end_if_hanging()
        rules = self.rules
        if rules is None or self._running is not None or not self._is_idle():
            return
        if self._steady() < self._rests_until or storage_fault(self._resources.folder):
            return
        since = self._resources.clock() - BACKLOG
        with self._resources.sessions.reading() as session:
            series = next_for_shadow(session, rules.config.model.sha256, since)
        if series is not None:
            self._begin(series, rules)

    def make_way(self) -> None:
        """Have the analysis that runs end, as somebody waits for its worker.

        A worker may have begun it though nobody has heard of that: so it is told in any case.
        """
        with self._lock:
            running = self._running
            if running is None or running.stopped_at is not None:
                return
            running.stopped_at = self._steady()
        self._workers.take_back(running.task)
        self._executor(lambda: self._workers.tell(running.task, stop, running.token))

    def _begin(self, series: ShadowSeries, rules: ShadowRules) -> None:
        token, folder = uuid.uuid4().hex, self._resources.folder
        folder.bring(one.path for one in series.instances)
        files = tuple(
            SourceFile(
                path=folder.locate(one.path),
                sop_instance_uid=one.sop_instance_uid,
                digest=one.digest,
            )
            for one in series.instances
        )
        request = ShadowRequest(
            series_instance_uid=series.series_instance_uid,
            images=images_request(files, rules.config, attempt=self._faults[series.result_key] + 1),
            first=rules.first,
            kept=folder.locate(series.folder) / KEPT,
            task=token,
        )
        with self._lock:
            if self._is_over or self.rules is not rules or not self._is_idle():
                return
            try:
                task = self._workers.submit(
                    find_in_shadow, request, priority=PRIORITY, avoid=self._failed_at
                )
            except NoWorker:
                return
            running = self._running = _Running(
                series=series,
                model=rules.config.model,
                token=token,
                task=task,
                timeout_seconds=rules.task_timeout_seconds,
            )

        def ended(_: AnalysisTask) -> None:
            running.ended.set()
            self._wake()

        task.when_done(ended)

    def _end_if_hanging(self) -> None:
        """Restart the worker of a task that takes too long, or does not make way.

        Another analysis beside it is not undone for the sake of the latter.
        """
        running, now = self._running, self._steady()
        if running is None or running.is_cut or running.task.started_at is None:
            return
        has_stayed = running.stopped_at is not None and now - running.stopped_at > STOP_SECONDS
        hangs = now - running.task.started_at > running.timeout_seconds
        if hangs or (has_stayed and not self._workers.has_neighbour(running.task)):
            running.is_cut = True
            uid = running.series.series_instance_uid
            log.error("worker_restarted", series_uid=uid, worker=running.task.worker)
            self._workers.end(running.task)

    def _settle(self) -> None:
        """Enter what the second model has found; if that cannot be written, the next time."""
        running = self._running
        if running is None or not running.ended.is_set():
            return
        self._enter(running)
        self._running = None

    def _enter(self, running: _Running) -> None:
        uid = running.series.series_instance_uid
        model = f"{running.model.name} {running.model.version}"
        new = NewShadow(model=model, manifest_sha256=running.model.sha256)
        try:
            outcome = running.task.result()
        except EngineAway:
            log.debug("shadow_stopped", series_uid=uid)
        except Exception as fault:  # noqa: BLE001  # border: a series has nothing to do with it
            self._enter_fault(running, new, fault)
        else:
            self._enter_outcome(running, new, outcome)

    def _enter_outcome(self, running: _Running, new: NewShadow, outcome: TaskResult) -> None:
        uid = running.series.series_instance_uid
        match outcome:
            case Shadowed() as found:
                self._resources.health.well(PART)
                self._failed_at, self._rests = frozenset(), 0
                self._keep(running, replace(new, **_figures(found)))
                log.info("shadow_finished", series_uid=uid, seconds={"shadow": found.seconds})
            case Unsuitable() as unsuitable:
                self._give_up(running, new, f"{unsuitable.code}: {unsuitable.text}")
            case Stopped():
                log.debug("shadow_stopped", series_uid=uid)

    def _enter_fault(self, running: _Running, new: NewShadow, fault: Exception) -> None:
        """Count a failure of a series; after `MOST_TRIES` it is given up, and the reason kept.

        It is none where the worker was restarted as the task did not make way, or the storage
        folder is away; nor where it may be the worker's, as long as there is another to try.
        """
        if running.stopped_at is not None or storage_fault(self._resources.folder):
            log.debug("shadow_stopped", series_uid=running.series.series_instance_uid)
            return
        reason, is_of_worker = reason_of(fault), may_be_of_the_worker(fault)
        if is_of_worker or isinstance(fault, EngineLost):
            self._rest(running, reason)
        if isinstance(fault, ModelError) or (is_of_worker and not self._is_unanimous):
            return
        key = running.series.result_key
        self._faults[key] += 1
        if self._faults[key] >= MOST_TRIES:
            self._give_up(running, new, reason)

    @property
    def _is_unanimous(self) -> bool:
        """Whether it has failed at every worker that there is."""
        return self._workers.fit_workers <= self._failed_at

    def _rest(self, running: _Running, reason: str) -> None:
        """Begin nothing for a while, and then elsewhere."""
        self._failed_at |= {running.task.worker}
        self._rests += 1
        seconds = REST.wait(self._rests)
        self._rests_until = self._steady() + seconds
        if self._resources.health.fault(PART, f"the second model cannot be used: {reason}"):
            uid = running.series.series_instance_uid
            log.warning("shadow_failed", series_uid=uid, reason=reason)

    def _give_up(self, running: _Running, new: NewShadow, reason: str) -> None:
        uid = running.series.series_instance_uid
        log.warning("shadow_failed", series_uid=uid, reason=reason)
        self._keep(running, replace(new, reason=reason))

    def _keep(self, running: _Running, new: NewShadow) -> None:
        with self._resources.sessions.begin() as session:
            enter_shadow(session, running.series, new, self._resources.clock())
        self._faults.pop(running.series.result_key, None)


def _figures(found: Shadowed) -> dict[str, Any]:
    figures = asdict(found)
    del figures["reused_lungs"]
    return figures
