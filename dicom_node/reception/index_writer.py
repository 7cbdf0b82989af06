"""Write the rows of received instances to the database in batches, after their files are stored."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import compress

from dicom_node.audit.messages import AuditEvent, begins_to_send, received
from dicom_node.audit.syslog import NO_AUDIT, AuditSink
from dicom_node.health import Health
from dicom_node.logs import log
from storage.database.sessions import Session, Sessions
from storage.errors import DatabaseRefused, DatabaseUnavailable
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instances

BATCH = 500  #: most rows written in one transaction
GATHER_SECONDS = 0.25  #: a row waits so long for others: a transaction costs more than a row
BEFORE_SECONDS = 30.0  #: longest wait for the entries put before
RETRY_SECONDS = 1.0  #: wait after the database could not be written
SET_ASIDE_SECONDS = 60.0  #: wait before rows that the database refused are tried again
MAXIMUM_SET_ASIDE = 1_000  #: rows that the database refused; with more, no instance is taken
MAXIMUM_WAITING = 100_000  #: entries in memory; with more, no instance is taken
PAUSE_SECONDS = 600.0  #: a sender that was silent so long about a study begins anew
MAXIMUM_TRANSFERS = 1_000  #: senders and studies that are remembered
DELAY_SECONDS = 60.0  #: default of the longest wait of a row, see `IndexWriter`
PART = "index"  #: its name in the condition of the node

Arrival = tuple[InstanceFacts, datetime]  #: an instance, and the time of its arrival
Entry = Arrival | Callable[[Session], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An entry, when it was put (monotonic, seconds), and what hears that it is written, if any."""

    entry: Entry
    since: float
    written: threading.Event | None = None


class IndexWriter:
    """Writes the entries of the receivers in order, on one thread, many in one transaction.

    Nothing that is acknowledged is given up: entries wait while the database is away, and rows
    that it refuses are set aside and tried again.

    Parameters
    ----------
    maximum_delay_seconds
        With a row that has waited longer, instances are refused: see :meth:`refusal`.
    steady
        Monotonic clock, seconds.

    Attributes
    ----------
    when_written
        Called after rows of instances were written.
    when_entered
        Called with the paths of the files of those rows.
    """

    def __init__(
        self,
        sessions: Sessions,
        audit: AuditSink = NO_AUDIT,
        health: Health | None = None,
        *,
        maximum_delay_seconds: float = DELAY_SECONDS,
        set_aside_seconds: float = SET_ASIDE_SECONDS,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sessions, self._audit, self._health = sessions, audit, health or Health()
        self._maximum_delay, self._steady = maximum_delay_seconds, steady
        self._set_aside_seconds = set_aside_seconds
        self._entries: queue.Queue[_Waiting | None] = queue.Queue()
        self._batch: list[_Waiting] = []  #: taken from the queue, and not written yet
        self._set_aside: list[_Waiting] = []  #: refused by the database
        self._try_again_at = 0.0
        self._transferring: dict[tuple[str, str], float] = {}  #: when a study last came from whom
        self._last = False  #: whether the end was taken from the queue
        self._fault = ""  #: why the batch could not be written the last time
        self.when_written: Callable[[], object] = bool
        self.when_entered: Callable[[list[str]], object] = len
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to write entries."""
        self.restart()

    def restart(self) -> None:
        """Start a thread; it begins with what the one before it had taken and not written."""
        self._thread = threading.Thread(target=self._follow, name="index", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Say whether the writing thread runs, or has come to its end in order."""
        return self._last or (self._thread is not None and self._thread.is_alive())

    def stop(self, seconds: float | None = None) -> None:
        """Write the entries still waiting, then end; give up if the database cannot be written.

        Parameters
        ----------
        seconds
            Longest wait; None waits for the end.
        """
        self._stopping.set()
        self._entries.put(None)
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(seconds)

    def wait_until_written(self) -> None:
        """Wait until all entries put so far are in the database."""
        self._entries.join()

    def wait_for_those_before(self) -> None:
        """Wait until the entries put before are in the database, whatever comes after them.

        Raises
        ------
        TimeoutError
            If the database cannot be written for long.
        """
        for _ in range(2):  # the second is taken after the commit of those with the first
            written = threading.Event()
            self.put(partial(_set, written))
            if not written.wait(BEFORE_SECONDS):
                raise TimeoutError("the index was not written in time")

    def put(self, entry: Entry) -> None:
        """Queue an entry; return at once."""
        self._entries.put(_Waiting(entry, self._steady()))

    def record_instance(self, instance: InstanceFacts, received_at: datetime) -> None:
        """Queue the row of an instance; return at once."""
        self.put((instance, received_at))

    def enter_instance(self, instance: InstanceFacts, received_at: datetime) -> bool:
        """Write the row of an instance, and wait for it; False if it was not written in time.

        It may still be written then.
        """
        waiting = _Waiting((instance, received_at), self._steady(), threading.Event())
        self._entries.put(waiting)
        return _is_set(waiting, self._maximum_delay)

    def refusal(self) -> str:
        """Say why no instance may be taken now: rows do not follow. Empty while they do."""
        if self.sessions.lost:  # nobody would look after its file
            return self.sessions.lost
        delay = self._delay_seconds()
        if delay > self._maximum_delay:
            why = self._fault or "the database has not taken them: somebody may have locked it"
            return f"rows of received instances have waited for {delay:.0f} s: {why}"
        if self._entries.qsize() > MAXIMUM_WAITING:
            return f"more than {MAXIMUM_WAITING} rows of received instances wait"
        if len(self._set_aside) > MAXIMUM_SET_ASIDE:
            return f"the database refused more than {MAXIMUM_SET_ASIDE} rows of instances"
        return ""

    def look(self) -> None:
        """Tell the condition of the node whether rows follow."""
        if refusal := self.refusal():
            self._health.fault(PART, f"instances are refused: {refusal}", receiving=False)
        elif self._fault:
            self._health.fault(PART, f"rows of received instances wait: {self._fault}")
        elif self._set_aside:
            rows = len(self._set_aside)
            self._health.fault(PART, f"the database refused rows: {rows} are tried again")
        else:
            self._health.well(PART)

    def _delay_seconds(self) -> float:
        """Tell how long the first entry that is not written has waited."""
        with self._entries.mutex:
            queued = next((entry for entry in self._entries.queue if entry is not None), None)
        first = next(iter(self._batch), queued)
        return 0.0 if first is None else self._steady() - first.since

    def _follow(self) -> None:
        while not self._last or self._batch:
            if not self._batch:
                self._take()
            while not self._write_batch():
                if self._stopping.wait(RETRY_SECONDS):
                    break
            done, self._batch = len(self._batch), []
            for _ in range(done):
                self._entries.task_done()

    def _take(self) -> None:
        """Wait for entries, and take those that wait, `BATCH` at most."""
        try:
            first = self._entries.get(timeout=self._set_aside_seconds if self._set_aside else None)
        except queue.Empty:
            return
        if first is None:
            self._last = True
            return
        self._batch.append(first)
        if first.written is None:
            self._stopping.wait(GATHER_SECONDS)
        while len(self._batch) < BATCH:
            try:
                entry = self._entries.get_nowait()
            except queue.Empty:
                return
            if entry is None:
                self._last = True
                return
            self._batch.append(entry)

    def _write_batch(self) -> bool:
        """Write what was taken, and what was set aside before; False to try again (thread border).

        Whatever goes wrong, the entries stay where they are.
        """
        try:
            if self._set_aside and self._steady() >= self._try_again_at:
                self._try_again_at = self._steady() + self._set_aside_seconds
                self._write(list(self._set_aside))
            self._write(self._batch)
        except Exception as fault:  # noqa: BLE001  # thread border: no row may be given up
            known = isinstance(fault, DatabaseUnavailable)
            reason = str(fault) if known else type(fault).__name__
            if not self._fault:
                log.error("index_delayed", waiting=len(self._batch), reason=reason)
            self._fault = reason
            return False
        self._fault = ""
        return True

    def _write(self, batch: list[_Waiting]) -> None:
        """Write all or nothing; what the database refuses is set aside, one by one.

        Raises
        ------
        DatabaseUnavailable
            If the database cannot be written at the moment.
        """
        try:
            arrivals, entered = self._enter(batch)
            _tell_waiting(batch)
        except DatabaseUnavailable:
            raise
        except Exception as fault:  # noqa: BLE001  # thread border: no row may be given up
            if len(batch) == 1:
                self._refuse(batch[0], fault)
            else:  # one of them cannot be written: the others must not wait for it
                for waiting in batch:
                    self._write([waiting])
            return
        if self._set_aside:
            written = set(map(id, batch))
            self._set_aside = [one for one in self._set_aside if id(one) not in written]
        _log(arrivals, entered)
        of_patients = [not instance.of_self_test for instance, _ in arrivals]
        instances = [instance for instance, _ in compress(arrivals, of_patients)]
        entered = list(compress(entered, of_patients))
        for event in [*self._beginnings(instances), *_transfers(instances, entered)]:
            self._audit.record(event)
        if arrivals:
            self._tell_written([instance.path for instance, _ in arrivals])

    def _tell_written(self, paths: list[str]) -> None:
        """Tell that rows were written (thread border: what comes of that does not undo it)."""
        try:
            self.when_entered(paths)
            self.when_written()
        except Exception:  # noqa: BLE001  # thread border: the rows are there
            log.exception("job_failed", job="index")

    def _beginnings(self, instances: list[InstanceFacts]) -> list[AuditEvent]:
        """Make an audit event for each sender that begins with a study, or goes on after a pause.

        It comes with the first rows: what was meant to come is not known before.
        """
        now, events = self._steady(), list[AuditEvent]()
        for one in instances:
            key = (one.calling_ae, one.study_instance_uid)
            latest = self._transferring.pop(key, None)
            if latest is None or now - latest > PAUSE_SECONDS:
                study = {one.study_instance_uid: dict[str, int]()}
                events.append(begins_to_send(one.calling_ae, study, patient_id=one.patient_id))
            self._transferring[key] = now  # the latest last
        while len(self._transferring) > MAXIMUM_TRANSFERS:
            del self._transferring[next(iter(self._transferring))]
        return events

    def _enter(self, batch: list[_Waiting]) -> tuple[list[Arrival], list[bool]]:
        """Enter all in one transaction; return the instances, and which of them are news."""
        arrivals = [waiting.entry for waiting in batch if isinstance(waiting.entry, tuple)]
        with self.sessions.begin() as session:
            entered = record_instances(session, arrivals)
            for waiting in batch:
                if not isinstance(waiting.entry, tuple):
                    waiting.entry(session)
        return arrivals, entered

    def _refuse(self, waiting: _Waiting, fault: Exception) -> None:
        """Set an instance aside that cannot be entered; drop what is not about an instance."""
        reason = str(fault) if isinstance(fault, DatabaseRefused) else type(fault).__name__
        log.error("index_refused", reason=reason, instance=isinstance(waiting.entry, tuple))
        if isinstance(waiting.entry, tuple) and not any(waiting is one for one in self._set_aside):
            if not self._set_aside:
                self._try_again_at = self._steady() + self._set_aside_seconds
            self._set_aside.append(waiting)


def _set(event: threading.Event, _session: Session) -> None:
    event.set()


def _tell_waiting(batch: list[_Waiting]) -> None:
    """Tell whoever waits for a row of a batch that it is in the database."""
    for waiting in batch:
        if waiting.written is not None:
            waiting.written.set()


def _is_set(waiting: _Waiting, seconds: float) -> bool:
    return waiting.written is not None and waiting.written.wait(seconds)


def _log(arrivals: list[Arrival], entered: list[bool]) -> None:
    """Log instances that were entered: a line for each sender and series, and in detail."""
    by_sender = Counter(
        (instance.calling_ae, instance.series_instance_uid, new)
        for (instance, _), new in zip(arrivals, entered, strict=True)
    )
    for (calling_ae, series_uid, new), count in by_sender.items():
        log.info(
            "instances_indexed",
            calling_ae=calling_ae,
            series_uid=series_uid,
            instances=count,
            repeated=not new,
        )
    for (instance, _), new in zip(arrivals, entered, strict=True):
        log.debug(
            "instance_received" if new else "instance_repeated",
            sop_instance_uid=instance.sop_instance_uid,
            series_uid=instance.series_instance_uid,
            calling_ae=instance.calling_ae,
            bytes=instance.bytes,
        )


def _transfers(instances: list[InstanceFacts], entered: list[bool]) -> list[AuditEvent]:
    """Make one audit event for each sender and patient, new and repeated instances apart.

    A message is about one patient (PS3.15 A.5.3.7).
    """
    studies: dict[tuple[str, str, bool], dict[str, Counter[str]]] = {}
    for instance, new in zip(instances, entered, strict=True):
        of_sender = studies.setdefault((instance.calling_ae, instance.patient_id, new), {})
        of_sender.setdefault(instance.study_instance_uid, Counter())[instance.sop_class_uid] += 1
    return [
        received(ae, counts, again=not new, patient_id=patient)
        for (ae, patient, new), counts in studies.items()
    ]
