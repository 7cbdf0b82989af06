"""Write the rows of received instances in batches, behind the files."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from dicom_node.audit.messages import AuditEvent, received
from dicom_node.audit.syslog import NO_AUDIT, AuditSink
from dicom_node.logs import log
from storage.database.sessions import Session, Sessions
from storage.errors import DatabaseRefused, DatabaseUnavailable
from storage.series.instances import InstanceFacts, record_instances

BATCH = 500  #: most rows written in one transaction
GATHER_SECONDS = 0.25  #: rows wait so long for others: a transaction costs more than a row
RETRY_SECONDS = 1.0  #: wait after the database could not be written
Arrival = tuple[InstanceFacts, datetime]  #: an instance, and when it came
Entry = Arrival | Callable[[Session], None]


class IndexWriter:
    """One thread that writes what reception notes, in order, many notes in one transaction."""

    def __init__(self, sessions: Sessions, audit: AuditSink = NO_AUDIT) -> None:
        self.sessions, self._audit = sessions, audit
        self._notes: queue.Queue[Entry | None] = queue.Queue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="index", daemon=True)

    def start(self) -> None:
        """Start to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is still waiting, then end; give up if the database cannot be written."""
        self._stopping.set()
        self._notes.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def settle(self) -> None:
        """Wait until all that was noted so far is written."""
        self._notes.join()

    def put(self, note: Entry) -> None:
        """Have something written."""
        self._notes.put(note)

    def record_instance(self, instance: InstanceFacts, received_at: datetime) -> None:
        """Have an instance entered."""
        self._notes.put((instance, received_at))

    def _follow(self) -> None:
        while (first := self._notes.get()) is not None:
            self._stopping.wait(GATHER_SECONDS)
            batch, last = self._drain(first)
            while not self._write(batch) and not self._stopping.wait(RETRY_SECONDS):
                pass
            for _ in batch:
                self._notes.task_done()
            if last:
                return

    def _drain(self, first: Entry) -> tuple[list[Entry], bool]:
        """Collect what waits, `BATCH` at most; say whether the end was among it."""
        batch = [first]
        while len(batch) < BATCH:
            try:
                note = self._notes.get_nowait()
            except queue.Empty:
                break
            if note is None:
                return batch, True
            batch.append(note)
        return batch, False

    def _write(self, batch: list[Entry]) -> bool:
        """Write all or nothing; False if the database cannot be written at the moment."""
        try:
            with self.sessions.begin() as session:
                came = _enter(session, [note for note in batch if isinstance(note, tuple)])
                for note in batch:
                    if not isinstance(note, tuple):
                        note(session)
        except DatabaseUnavailable as fault:
            log.error("index_delayed", waiting=len(batch), reason=type(fault).__name__)
            return False
        except DatabaseRefused as fault:
            if len(batch) > 1:  # one of them cannot be written: the others must not wait for it
                return all(self._write([note]) for note in batch)
            log.error("index_refused", reason=type(fault).__name__)
            return True
        for event in came:
            self._audit.record(event)
        return True


def _enter(session: Session, arrivals: list[Arrival]) -> list[AuditEvent]:
    """Enter what came; return what an auditor is to know of it."""
    entered = record_instances(session, arrivals)
    by_sender = Counter(
        (i.calling_ae, i.series_instance_uid, n)
        for (i, _), n in zip(arrivals, entered, strict=True)
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
    return _transfers([facts for facts, _ in arrivals], entered)


def _transfers(instances: list[InstanceFacts], entered: list[bool]) -> list[AuditEvent]:
    studies: dict[tuple[str, bool], dict[str, Counter[str]]] = {}
    for each, new in zip(instances, entered, strict=True):
        of_sender = studies.setdefault((each.calling_ae, new), {})
        of_sender.setdefault(each.study_instance_uid, Counter())[each.sop_class_uid] += 1
    return [received(ae, counts, again=not new) for (ae, new), counts in studies.items()]
