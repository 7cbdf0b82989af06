"""Read how the node stands whenever it is scraped: database, disk, condition, certificates."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from importlib.metadata import version

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from dicom_node.health import STANDBY, PartFault
from storage.delivery.work_items import OPEN
from storage.errors import StorageError
from storage.results.self_tests import SelfTestRun
from storage.standing import NOT_ENDED, WAITING, Standing
from storage.states import SelfTestState, SeriesState

ACTIONS = ("note", "tell", "hold", "stop")  #: about scanners that change
KEEP_SECONDS = 15.0  #: for which the numbers of the database hold, however often it is scraped


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the numbers come from; each may fail without the others.

    Attributes
    ----------
    standing
        Reads the database; `StorageError` where it is away.
    faults
        Parts that are out of order now.
    role
        As in :class:`dicom_node.health.Health`.
    free_bytes
        Of the disk of the storage folder; `OSError` where it is away.
    self_test_seconds
        Between two self-tests; 0 where none is due by itself.
    expires
        Last day of the model; None if it has none.
    certificates
        End of each certificate in use, by its setting.
    """

    destinations: Callable[[], Sequence[str]]
    standing: Callable[[], Standing]
    faults: Callable[[], Sequence[PartFault]]
    free_bytes: Callable[[], int]
    reserve_bytes: int
    certificates: Callable[[], Iterable[tuple[str, datetime]]]
    self_test_seconds: float
    model: str
    clock: Callable[[], datetime]
    role: Callable[[], str] = str
    expires: Callable[[], date | None] = lambda: None


def gauge(name: str, text: str, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    """Make a gauge of the node."""
    return GaugeMetricFamily(f"dicom_node_{name}", text, labels=labels)


class StateCollector(Collector):
    """Gauges of the present state."""

    def __init__(self, sources: Sources, steady: Callable[[], float] = time.monotonic) -> None:
        self._sources, self._steady = sources, steady
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._standing: Standing | None = None
        self._took_seconds = 0.0

    def describe(self) -> Iterable[Metric]:
        """Say nothing beforehand: else registering would read the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read everything; what cannot be read is left out."""
        yield from self._of_node()
        yield from self._of_disk()
        standing = self._read()
        up = gauge("database_up", "Whether the database could be read: 1 or 0.")
        up.add_metric((), float(standing is not None))
        yield up
        took = gauge("database_read_seconds", "How long these numbers took to read.")
        took.add_metric((), self._took_seconds)
        yield took
        if standing is not None:
            yield from self._of_series(standing)
            yield from self._of_deliveries(standing)
            yield from self._of_self_test(standing)
            yield self._of_work_items(standing)

    def _read(self) -> Standing | None:
        """Read the database now and then; while somebody else reads, give what there is."""
        if self._lock.acquire(blocking=False):
            try:
                self._read_again()
            finally:
                self._lock.release()
        return self._standing

    def _read_again(self) -> None:
        began = self._steady()
        if self._standing is not None and began - self._read_at < KEEP_SECONDS:
            return
        try:
            self._standing = self._sources.standing()
        except StorageError:
            self._standing = None
        self._read_at = self._steady()
        self._took_seconds = self._read_at - began

    def _of_node(self) -> Iterator[Metric]:
        build = InfoMetricFamily("dicom_node_build", "Version of the program, and the model.")
        build.add_metric((), {"version": version("dicom-node"), "model": self._sources.model})
        yield build
        faults = self._sources.faults()
        ready = gauge("ready", "Whether the node is ready, as /readyz says: 1 or 0.")
        ready.add_metric((), float(all(fault.is_ready for fault in faults)))
        yield ready
        active = gauge("active", "Whether it analyses and delivers: 1, or 0 of a standby.")
        active.add_metric((), float(self._sources.role() != STANDBY))
        yield active
        part = gauge("part_fault", "1 for each part that is out of order.", ["part"])
        since = gauge("part_fault_seconds", "For how long it has been.", ["part"])
        now = self._sources.clock()
        for fault in faults:
            part.add_metric((fault.part,), 1.0)
            since.add_metric((fault.part,), (now - fault.since).total_seconds())
        yield part
        yield since
        ends = gauge(
            "certificate_expiry_timestamp_seconds", "When a certificate expires.", ["setting"]
        )
        for setting, end in self._sources.certificates():
            ends.add_metric((setting,), end.timestamp())
        yield ends
        if last_day := self._sources.expires():
            expiry = gauge(
                "model_expiry_timestamp_seconds", "When the last day of the model is over."
            )
            over = datetime.combine(last_day + timedelta(days=1), time_of_day.min).astimezone()
            expiry.add_metric((), over.timestamp())
            yield expiry

    def _of_disk(self) -> Iterator[Metric]:
        reserve = gauge("disk_reserve_bytes", "Space kept free of instances.")
        reserve.add_metric((), float(self._sources.reserve_bytes))
        yield reserve
        try:
            found = self._sources.free_bytes()
        except OSError:
            return
        free = gauge("disk_free_bytes", "Free space on the disk of the storage folder.")
        free.add_metric((), float(found))
        yield free

    def _of_series(self, standing: Standing) -> Iterator[Metric]:
        now = self._sources.clock()
        series = gauge("series", "Series in each state.", ["state"])
        for state in SeriesState:
            series.add_metric((state.value,), float(standing.series.get(state, 0)))
        yield series
        oldest = gauge("oldest_waiting_seconds", "Since the first series of a state.", ["state"])
        for state in WAITING:
            since = standing.waiting_since.get(state)
            oldest.add_metric((state.value,), (now - since).total_seconds() if since else 0.0)
        yield oldest
        decided = gauge(
            "decisions", "Series of the latest 24 hours by their latest decision.", ["decision"]
        )
        decided.add_metric(("positive",), float(standing.positive))
        decided.add_metric(("negative",), float(standing.negative))
        decided.add_metric(("indeterminate",), float(standing.indeterminate))
        yield decided
        quarantine = gauge("quarantine_files", "Files in quarantine.")
        quarantine.add_metric((), float(standing.quarantine))
        yield quarantine
        answers = gauge("answers", "Answers of readers in the latest 30 days.", ["answer"])
        for answer, count in standing.answers.items():
            answers.add_metric((answer,), float(count))
        yield answers

    def _of_deliveries(self, standing: Standing) -> Iterator[Metric]:
        now = self._sources.clock()
        both = ["destination", "state"]
        deliveries = gauge("deliveries", "Deliveries that have not ended well.", both)
        oldest = gauge("oldest_delivery_seconds", "Since the first to be sent.", both[:1])
        paused = gauge("destination_paused", "Whether it gets nothing: 1 or 0.", both[:1])
        for name in self._sources.destinations():
            for state in NOT_ENDED:
                count = standing.deliveries.get((name, state), 0)
                deliveries.add_metric((name, state.value), float(count))
            since = standing.undelivered_since.get(name)
            oldest.add_metric((name,), (now - since).total_seconds() if since else 0.0)
            paused.add_metric((name,), float(name in standing.paused))
        yield from (deliveries, oldest, paused)

    def _of_work_items(self, standing: Standing) -> Metric:
        items = gauge("workitems", "Work items of ours that have not ended.", ["state"])
        for state in sorted(OPEN):
            items.add_metric((state.value,), float(standing.work_items.get(state, 0)))
        return items

    def _of_self_test(self, standing: Standing) -> Iterator[Metric]:
        interval = gauge("self_test_interval_seconds", "Between two self-tests; 0 if none is due.")
        interval.add_metric((), self._sources.self_test_seconds)
        yield interval
        drift = gauge("drift_changes", "Changes of scanners that nobody accepted.", ["action"])
        for action in ACTIONS:
            drift.add_metric((action,), float(standing.drift.get(action, 0)))
        yield drift
        run, passed = standing.self_test, standing.self_test_passed
        if run is not None:
            success = gauge("self_test_success", "Whether the latest self-test passed: 1 or 0.")
            success.add_metric((), float(run.state is SelfTestState.PASSED))
            yield success
            yield from self._of_run(run)
        if passed is not None and passed.ended_at is not None:
            last = gauge("self_test_last_success_timestamp_seconds", "When one last passed.")
            last.add_metric((), passed.ended_at.timestamp())
            yield last

    def _of_run(self, run: SelfTestRun) -> Iterator[Metric]:
        if run.began_at is not None and run.ended_at is not None:
            took = gauge("self_test_seconds", "How long the latest took, all waiting included.")
            took.add_metric((), (run.ended_at - run.began_at).total_seconds())
            yield took
        error = json.loads(run.verdict).get("score_error") if run.verdict else None
        if error is not None:
            score = gauge("self_test_score_error", "Score of the latest, less what is expected.")
            score.add_metric((), float(error))
            yield score
