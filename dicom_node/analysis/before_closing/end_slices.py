"""Have workers look at the end slices of series that are being received; nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dicom_node.analysis.worker.ends_task import look_at_ends
from dicom_node.analysis.worker.messages import EndsRequest, EndsSeen, SourceFile
from dicom_node.analysis.workers import AnalysisTask, Workers
from dicom_node.errors import EngineAway, NoWorker
from dicom_node.logs import log
from storage.errors import ObjectsAway
from storage.files.folder import StorageFolder
from storage.series.lifecycle import OpenSeries

PRIORITY = 2  #: above every analysis: it takes a moment, and somebody waits
TIMEOUT_SECONDS = 20.0  #: for a few slices; a worker that takes longer hangs
MAXIMUM_RUNNING = 4  #: looks at a time
MAXIMUM_KNOWN = 500  #: looks that are remembered

Slices = tuple[str, ...]  #: paths of the slices looked at, relative to the storage folder


@dataclass(slots=True)
class _Look:
    task: AnalysisTask
    series_instance_uid: str
    ended: threading.Event = field(default_factory=threading.Event)


class EndSlices:
    """Knows, once a worker has looked, whether a stack begins and ends outside the lungs.

    Parameters
    ----------
    wake
        Called when a worker has looked.
    steady
        Monotonic clock, seconds; that of the workers' start times.

    Attributes
    ----------
    make_way
        Called when a worker is about to look, for whoever has one that can wait.
    """

    def __init__(
        self,
        workers: Workers,
        folder: StorageFolder,
        wake: Callable[[], object] = bool,
        *,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers, self._folder, self._steady = workers, folder, steady
        self._wake = wake
        self.make_way: Callable[[], object] = bool
        self._running: dict[Slices, _Look] = {}
        self._known: OrderedDict[Slices, bool] = OrderedDict()

    def look(self, series: OpenSeries, paths: Sequence[str]) -> bool | None:
        """Tell whether a stack begins and ends outside the lungs; None until it is known.

        Parameters
        ----------
        paths
            Its first slice, some in between, its last.
        """
        slices = tuple(paths)
        if slices not in self._known and slices not in self._running:
            self._begin(slices, series.series_instance_uid)
        return self._known.get(slices)

    def tend(self) -> None:
        """Enter the looks that have ended; end those that hang, whatever has become of the series.

        The worker of one that hangs is restarted, and analyses beside it are begun anew.
        """
        for slices, look in list(self._running.items()):
            if look.ended.is_set():
                del self._running[slices]
                seen = _result(look)
                if seen is not None:
                    self._known[slices] = seen
            elif _is_overdue(look.task, self._steady()):
                del self._running[slices]
                self._known[slices] = False
                self._workers.end(look.task)
        while len(self._known) > MAXIMUM_KNOWN:
            self._known.popitem(last=False)

    def _begin(self, slices: Slices, series_instance_uid: str) -> None:
        if len(self._running) >= MAXIMUM_RUNNING:
            return
        try:
            files = [self._folder.locate(path) for path in slices]
        except ObjectsAway:  # another time
            return
        request = EndsRequest(
            files=tuple(SourceFile(path=path, sop_instance_uid="", digest="") for path in files)
        )
        self.make_way()
        try:
            task = self._workers.submit(look_at_ends, request, priority=PRIORITY, avoid=frozenset())
        except NoWorker:  # another time
            return
        look = _Look(task, series_instance_uid)
        self._running[slices] = look

        def ended(_: AnalysisTask) -> None:
            look.ended.set()
            self._wake()

        task.when_done(ended)


def _is_overdue(task: AnalysisTask, now: float) -> bool:
    return task.started_at is not None and now - task.started_at > TIMEOUT_SECONDS


def _result(look: _Look) -> bool | None:
    """Tell what a worker saw; None if it is to be asked again, False if it could not tell."""
    try:
        seen = look.task.result()
    except EngineAway:
        return None
    except Exception as fault:  # noqa: BLE001  # border: the series waits for its quiet time
        log.warning(
            "ends_not_seen", series_uid=look.series_instance_uid, reason=type(fault).__name__
        )
        return False
    return isinstance(seen, EndsSeen) and seen.outside
