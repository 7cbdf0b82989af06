"""Have a worker analyse a series that is about to be closed; nobody waits for it.

A series whose proof says nothing of what may still come waits for some seconds. What is found in
it meanwhile stays in the memory of the worker, and is taken by the analysis of the closed series.
If another instance comes, it was done in vain.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from dicom_node.analysis.worker.findings import find_ahead
from dicom_node.analysis.worker.messages import AnalysisConfig, SourceFile, images_request
from dicom_node.analysis.workers import AnalysisTask, Workers
from dicom_node.errors import NoWorker
from dicom_node.logs import log
from dicom_node.resources import Resources
from storage.series.lifecycle import OpenSeries
from storage.series.slices import held_slices

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

    series_instance_uid: str
    task: AnalysisTask
    ended: threading.Event


class AnalysisAhead:
    """Begins the analysis of series that are about to be closed, one at a time; for any thread."""

    def __init__(self, resources: Resources, workers: Workers) -> None:
        self._resources, self._workers = resources, workers
        self._lock = threading.Lock()
        self._begun: OrderedDict[str, set[OpenSeries]] = OrderedDict()
        self._latest: Ahead | None = None

    @property
    def running(self) -> Ahead | None:
        """What a worker is at, if it is at one."""
        latest = self._latest
        return latest if latest is not None and not latest.ended.is_set() else None

    def begin(self, series: OpenSeries, config: AnalysisConfig) -> None:
        """Begin with a series as it is, unless that was done, or another is under way."""
        uid = series.series_instance_uid
        with self._lock:
            if self.running is not None or not self._is_worth_it(series):
                return
            request = images_request(self._files(uid), config)
            try:
                task = self._workers.submit(
                    find_ahead, request, priority=PRIORITY, avoid=frozenset()
                )
            except NoWorker:
                return
            latest = Ahead(series_instance_uid=uid, task=task, ended=threading.Event())
            self._latest = latest
            self._begun.setdefault(uid, set()).add(series)
            while len(self._begun) > MAXIMUM_KNOWN:
                self._begun.popitem(last=False)
        log.debug("analysis_begun_ahead", series_uid=uid, instances=len(request.files))
        task.when_done(lambda _: latest.ended.set())

    def worker_of(self, series_instance_uid: str) -> str:
        """Name the worker that holds what was found in a series, or is at it; empty if none."""
        latest = self._latest
        if latest is None or latest.series_instance_uid != series_instance_uid:
            return ""
        return latest.task.worker

    def end_if_before(self, deadline: float) -> None:
        """End what was begun before a moment (monotonic, seconds): it hangs."""
        running = self.running
        if running is None or running.task.started_at is None:
            return
        if running.task.started_at < deadline:
            running.ended.set()
            log.error(
                "worker_restarted",
                series_uid=running.series_instance_uid,
                worker=running.task.worker,
            )
            self._workers.end(running.task)

    def _is_worth_it(self, series: OpenSeries) -> bool:
        begun = self._begun.get(series.series_instance_uid, set())
        return series not in begun and len(begun) < MAXIMUM_IN_VAIN

    def _files(self, series_instance_uid: str) -> tuple[SourceFile, ...]:
        """List the files as the request for its analysis will."""
        with self._resources.sessions.reading() as session:
            slices = held_slices(session, series_instance_uid)
        locate = self._resources.folder.locate
        return tuple(
            SourceFile(
                path=locate(part.path),
                sop_instance_uid=part.sop_instance_uid,
                digest=part.digest,
            )
            for part in slices
        )
