"""Receiving, on the side of the disk: the file is the truth, the index follows.

An instance is kept (file, name and directory on the disk) before its sender hears Success. Its
row in the database is written a moment later by one thread, many rows at a time; whatever a
crash leaves without a row is found by the scan at the next start.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from dicom_node.audit.messages import Event, received
from dicom_node.audit.syslog import NO_TRAIL, Trail
from dicom_node.logs import log
from dicom_node.reception.header import Unreadable, facts, read_header, skim_header
from dicom_node.reception.instance import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, SUCCESS, Received
from dicom_node.resources import Store
from storage.errors import InboxFull
from storage.files.folder import KeptFile
from storage.series.instances import InstanceFacts, known_paths, note_instances
from storage.series.rejected import note_quarantine, note_refusal

BATCH = 500  #: most rows written in one transaction
GATHER_SECONDS = 0.25  #: rows wait so long for others: a transaction costs more than a row
HEADER_BYTES = 1 << 15  #: looked at on the way; a header that is longer is read from the file
RETRY_SECONDS = 1.0  #: wait after the database could not be written

Arrival = tuple[InstanceFacts, datetime]  #: an instance, and when it came
Note = Arrival | Callable[[Session], None]


class Reception:
    """Keeps what is received and has it indexed: the `Keeper` of the SCP."""

    def __init__(self, store: Store, index: Index) -> None:
        self._inbox, self._clock = store.inbox, store.clock
        self._index = index

    def keep(self, received: Received) -> int:
        """Keep one instance durably; return the C-STORE status.

        What cannot be understood is kept too, in quarantine, and answered 0xC000.
        """
        calling_ae = received.calling_ae
        name = f"{received.sop_instance_uid} {received.transfer_syntax_uid}"
        beginning = bytearray()
        body = _noting(received.body, beginning)
        try:
            kept = self._inbox.keep(body, header=received.header, name_from=name)
        except InboxFull as full:
            log.error("instance_refused", calling_ae=calling_ae, reason=str(full))
            return OUT_OF_RESOURCES
        except OSError as fault:  # answered 0x0110 and logged where it was called
            reason = f"cannot be kept: {type(fault).__name__}"
            self.note_refusal(calling_ae=calling_ae, what="an instance", reason=reason)
            raise
        try:
            header = skim_header(bytes(beginning), received)
            header = header or read_header(self._inbox.locate(kept.path))
        except Unreadable as fault:
            self._quarantine(kept.path, reason=str(fault), calling_ae=calling_ae)
            return CANNOT_UNDERSTAND
        noted = facts(header, kept, calling_ae=calling_ae, urgent=received.urgent)
        self._index.note_instance(noted, self._clock())
        return SUCCESS

    def note_refusal(self, *, calling_ae: str, what: str, reason: str) -> None:
        """Have a refusal indexed, so that `status` can show it."""
        now = self._clock()
        self._index.put(
            lambda session: note_refusal(
                session, now, calling_ae=calling_ae, what=what, reason=reason
            )
        )

    def _quarantine(self, path: str, *, reason: str, calling_ae: str) -> None:
        moved, now = self._inbox.quarantine(path), self._clock()
        log.warning("instance_quarantined", calling_ae=calling_ae, path=moved, reason=reason)
        self._index.put(
            lambda session: note_quarantine(
                session, moved, now, reason=reason, calling_ae=calling_ae
            )
        )

    def scan(self) -> int:
        """Index every kept file that has no row: what a crash left between the two.

        Only for the start, before anything is received. Returns how many there were, once all of
        them are in the database: nobody may take the first half of a series for all of it.
        """
        with self._index.sessions() as session:
            known = known_paths(session)
        found = [kept for kept in self._inbox.scan() if kept.path not in known]
        for kept in found:
            self._take_up(kept)
        if found:
            self._index.settle()
            log.warning("inbox_scanned", instances=len(found))
        return len(found)

    def _take_up(self, kept: KeptFile) -> None:
        path = self._inbox.locate(kept.path)
        try:
            header = read_header(path)
        except Unreadable as fault:
            self._quarantine(kept.path, reason=str(fault), calling_ae="")
            return
        noted = facts(header, kept, calling_ae=header.calling_ae)
        received_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        self._index.note_instance(noted, received_at)


def _noting(
    chunks: Iterable[bytes | memoryview], beginning: bytearray
) -> Iterator[bytes | memoryview]:
    """Note the beginning of what passes by."""
    for chunk in chunks:
        if len(beginning) < HEADER_BYTES:
            beginning += chunk[: HEADER_BYTES - len(beginning)]
        yield chunk


class Index:
    """One thread that writes what reception notes, in order, many notes in one transaction."""

    def __init__(self, sessions: sessionmaker[Session], audit: Trail = NO_TRAIL) -> None:
        self.sessions, self._audit = sessions, audit
        self._notes: queue.Queue[Note | None] = queue.Queue()
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

    def put(self, note: Note) -> None:
        """Have something written."""
        self._notes.put(note)

    def note_instance(self, instance: InstanceFacts, received_at: datetime) -> None:
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

    def _drain(self, first: Note) -> tuple[list[Note], bool]:
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

    def _write(self, batch: list[Note]) -> bool:
        """Write all or nothing; False if the database cannot be written at the moment."""
        try:
            with self.sessions.begin() as session:
                came = _enter(session, [note for note in batch if isinstance(note, tuple)])
                for note in batch:
                    if not isinstance(note, tuple):
                        note(session)
        except OperationalError as fault:
            log.error("index_delayed", waiting=len(batch), reason=type(fault).__name__)
            return False
        except SQLAlchemyError as fault:
            if len(batch) > 1:  # one of them cannot be written: the others must not wait for it
                return all(self._write([note]) for note in batch)
            log.error("index_refused", reason=type(fault).__name__)
            return True
        for event in came:
            self._audit.note(event)
        return True


def _enter(session: Session, arrivals: list[Arrival]) -> list[Event]:
    """Enter what came; return what an auditor is to know of it."""
    entered = note_instances(session, arrivals)
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


def _transfers(instances: list[InstanceFacts], entered: list[bool]) -> list[Event]:
    studies: dict[tuple[str, bool], dict[str, Counter[str]]] = {}
    for each, new in zip(instances, entered, strict=True):
        of_sender = studies.setdefault((each.calling_ae, new), {})
        of_sender.setdefault(each.study_instance_uid, Counter())[each.sop_class_uid] += 1
    return [received(ae, counts, again=not new) for (ae, new), counts in studies.items()]
