"""Write the rows of received instances to the database in batches, after their files are stored."""

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
GATHER_SECONDS = 0.25  #: a row waits so long for others: a transaction costs more than a row
RETRY_SECONDS = 1.0  #: wait after the database could not be written
Arrival = tuple[InstanceFacts, datetime]  #: an instance, and the time of its arrival
Entry = Arrival | Callable[[Session], None]


class IndexWriter:
    """Writes the entries of the receivers in order, on one thread, many in one transaction."""

    def __init__(self, sessions: Sessions, audit: AuditSink = NO_AUDIT) -> None:
        self.sessions, self._audit = sessions, audit
        self._entries: queue.Queue[Entry | None] = queue.Queue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="index", daemon=True)

    def start(self) -> None:
        """Start to write entries."""
        self._thread.start()

    def stop(self) -> None:
        """Write the entries still waiting, then end; give up if the database cannot be written."""
        self._stopping.set()
        self._entries.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def wait_until_written(self) -> None:
        """Wait until all entries put so far are in the database."""
        self._entries.join()

    def put(self, entry: Entry) -> None:
        """Queue an entry; return at once."""
        self._entries.put(entry)

    def record_instance(self, instance: InstanceFacts, received_at: datetime) -> None:
        """Queue the row of an instance; return at once."""
        self._entries.put((instance, received_at))

    def _follow(self) -> None:
        while (first := self._entries.get()) is not None:
            self._stopping.wait(GATHER_SECONDS)
            batch, last = self._drain(first)
            while not self._write(batch) and not self._stopping.wait(RETRY_SECONDS):
                pass
            for _ in batch:
                self._entries.task_done()
            if last:
                return

    def _drain(self, first: Entry) -> tuple[list[Entry], bool]:
        """Collect the entries that wait, `BATCH` at most; say whether the end was among them."""
        batch = [first]
        while len(batch) < BATCH:
            try:
                entry = self._entries.get_nowait()
            except queue.Empty:
                break
            if entry is None:
                return batch, True
            batch.append(entry)
        return batch, False

    def _write(self, batch: list[Entry]) -> bool:
        """Write all or nothing; False if the database cannot be written at the moment."""
        try:
            with self.sessions.begin() as session:
                events = _enter(session, [entry for entry in batch if isinstance(entry, tuple)])
                for entry in batch:
                    if not isinstance(entry, tuple):
                        entry(session)
        except DatabaseUnavailable as fault:
            log.error("index_delayed", waiting=len(batch), reason=str(fault))
            return False
        except DatabaseRefused as fault:
            if len(batch) > 1:  # one of them cannot be written: the others must not wait for it
                return all(self._write([entry]) for entry in batch)
            log.error("index_refused", reason=str(fault))
            return True
        for event in events:
            self._audit.record(event)
        return True


def _enter(session: Session, arrivals: list[Arrival]) -> list[AuditEvent]:
    """Enter instances that arrived; return the audit events of it."""
    entered = record_instances(session, arrivals)
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
    return _transfers([instance for instance, _ in arrivals], entered)


def _transfers(instances: list[InstanceFacts], entered: list[bool]) -> list[AuditEvent]:
    """Make one audit event for each sender, and for new and repeated instances apart."""
    studies: dict[tuple[str, bool], dict[str, Counter[str]]] = {}
    for instance, new in zip(instances, entered, strict=True):
        of_sender = studies.setdefault((instance.calling_ae, new), {})
        of_sender.setdefault(instance.study_instance_uid, Counter())[instance.sop_class_uid] += 1
    return [received(ae, counts, again=not new) for (ae, new), counts in studies.items()]
