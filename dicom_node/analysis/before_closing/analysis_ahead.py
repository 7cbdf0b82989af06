"""Have a worker analyse a series that is about to be closed; nobody waits for it.

A series whose proof says nothing of what may still come waits for some seconds. What is found in
it meanwhile stays in the memory of the worker for a short while, and is taken by the analysis of
the closed series. If another instance comes, it was done in vain.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from dicom_node.analysis.worker.findings import find_ahead
from dicom_node.analysis.worker.messages import FoundAhead, ImagesRequest
from dicom_node.analysis.workers import AnalysisTask, Workers
from dicom_node.errors import EngineAway, NoWorker
from dicom_node.logs import log
from storage.series.lifecycle import OpenSeries

PRIORITY = -2  #: below every analysis of a series that is closed
MAXIMUM_IN_VAIN = 2  #: times that a series is begun, however often another instance comes
MAXIMUM_KNOWN = 500  #: series that are remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """The analysis of a series that was begun ahead.

    Attributes
    ----------
    ended
        Set when it has come to its end.
    """

    series: OpenSeries
    task: AnalysisTask
    ended: threading.Event = field(default_factory=threading.Event)


class AnalysisAhead:
    """Begins the analysis of series that are about to be closed, one at a time.

    All but `running` is for the one thread that hands out analyses.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._begun: OrderedDict[str, set[OpenSeries]] = OrderedDict()
        self._given_up: OrderedDict[str, None] = OrderedDict()
        self._latest: Ahead | None = None
        self._taken: Ahead | None = None
        self._holder: tuple[str, str] = ("", "")  #: series whose findings a worker keeps, and which

    @property
    def running(self) -> Ahead | None:
        """What a worker is at, if it is at one."""
        latest = self._latest
        return latest if latest is not None and not latest.ended.is_set() else None

    def begin(self, series: OpenSeries, images: Callable[[], ImagesRequest]) -> None:
        """Begin with a series as it is, unless that was done, or another is under way."""
        uid = series.series_instance_uid
        self._read()
        self._take_back(lambda other: other != series)
        if self._latest is not None or not self._is_worth_it(series):
            return
        request = images()
        held_at = self._worker_of(uid)  # what it keeps makes room there
        others = self._workers.fit_workers - {held_at} if held_at else frozenset()
        try:
            task = self._workers.submit(find_ahead, request, priority=PRIORITY, avoid=others)
        except NoWorker:
            return
        latest = self._latest = Ahead(series=series, task=task)
        self._begun.setdefault(uid, set()).add(series)
        for known in (self._begun, self._given_up):
            while len(known) > MAXIMUM_KNOWN:
                known.popitem(last=False)
        log.debug("analysis_begun_ahead", series_uid=uid, instances=len(request.files))
        task.when_done(lambda _: latest.ended.set())

    def take_worker(self, series_instance_uid: str) -> str:
        """Name the worker that keeps what was found in a series, or is at it; empty if none.

        From then on that is nobody's: it is taken by the analysis that goes there.
        """
        self._read()
        self._take_back(lambda series: series.series_instance_uid == series_instance_uid)
        worker = self._worker_of(series_instance_uid)
        if worker:
            self._holder, self._taken = ("", ""), self._latest
        return worker

    def end_if_before(self, deadline: float) -> None:
        """End what was begun before a moment (monotonic, seconds): it hangs."""
        running = self.running
        if running is None or running.task.started_at is None:
            return
        if running.task.started_at < deadline:
            self._give_up(running)
            uid = running.series.series_instance_uid
            log.error("worker_restarted", series_uid=uid, worker=running.task.worker)
            self._workers.end(running.task)

    def _worker_of(self, uid: str) -> str:
        running = self.running
        if running is not None and running.series.series_instance_uid == uid:
            return running.task.worker
        held, worker = self._holder
        return worker if held == uid else ""

    def _take_back(self, in_vain: Callable[[OpenSeries], bool]) -> None:
        """Take back what no worker has begun, if it would be done in vain."""
        running = self.running
        if running is None or running.task.started_at is not None or not in_vain(running.series):
            return
        self._latest = None
        self._workers.take_back(running.task)

    def _read(self) -> None:
        """Enter what has ended; a series at which a worker failed is not begun ahead again."""
        latest = self._latest
        if latest is None or not latest.ended.is_set():
            return
        self._latest = None
        uid = latest.series.series_instance_uid
        try:
            found = latest.task.result()
        except EngineAway:
            return
        except Exception as fault:  # noqa: BLE001  # border: its analysis will tell
            self._give_up(latest)
            worker, reason = latest.task.worker, type(fault).__name__
            log.warning("analysis_ahead_failed", series_uid=uid, worker=worker, reason=reason)
            return
        if isinstance(found, FoundAhead) and found.kept and latest is not self._taken:
            self._holder = (uid, latest.task.worker)

    def _give_up(self, ahead: Ahead) -> None:
        self._latest = None
        self._given_up[ahead.series.series_instance_uid] = None

    def _is_worth_it(self, series: OpenSeries) -> bool:
        uid = series.series_instance_uid
        begun = self._begun.get(uid, set())
        return uid not in self._given_up and series not in begun and len(begun) < MAXIMUM_IN_VAIN
