"""Store received instances durably and have them indexed; the files are the truth.

An instance is kept (file, name and directory on the disk) before its sender hears Success. Its
row in the database is written a moment later by one thread, many rows at a time; files that a
crash leaves without a row are found by the scan at the next start. Where files are in a bucket, of
which nobody looks at all there is, its object and its row are both there before that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from dicom_node.logs import log
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status_codes import (
    CANNOT_UNDERSTAND,
    DATA_SET_DOES_NOT_MATCH,
    OUT_OF_RESOURCES,
    SUCCESS,
)
from dicom_node.reception.header import (
    IdentityMismatch,
    Unreadable,
    check_identity,
    facts,
    printable,
    read_header,
    skim_header,
)
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.refusals import Refusal, RefusalRecorder
from dicom_node.reception.transfers import Transfers
from dicom_node.resources import Resources
from storage.errors import ObjectsAway, StorageFull
from storage.files.folder import INSTANCE_ENDING, INSTANCE_FOLDERS
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import kept_in, known_among
from storage.series.quarantine_and_refusals import record_quarantine

MAXIMUM_QUARANTINED = 10_000  #: files; beyond them, unreadable instances are not kept
QUARANTINE_FULL = "quarantine is full: look at it by dicom-node status, and empty it"
NO_ROW = "its row was not written in time"
HEADER_BYTES = 1 << 15  #: scanned on arrival; a longer header is read from the file


class InstanceIngest:
    """Keeps received instances and has them indexed: the `InstanceSink` of all receivers."""

    def __init__(
        self, resources: Resources, index: IndexWriter, transfers: Transfers | None = None
    ) -> None:
        self._folder, self._clock = resources.folder, resources.clock
        self._key = resources.identity_key
        self._index, self._transfers = index, transfers or Transfers()
        self.why_nothing_further: Callable[[], str] = str  #: empty while instances are taken
        self.refusals = RefusalRecorder(index, resources.clock, resources.audit)

    def keep(self, received: ReceivedInstance) -> int:
        """Keep one instance durably; return the C-STORE status.

        An instance that cannot be understood is kept too, in quarantine, and answered 0xC000; one
        that is another than its request says is answered 0xA900 (PS3.4 Table B.2-1).
        While rows do not follow, nothing is kept: its sender still has it, and will send it again.
        """
        calling_ae = received.calling_ae
        if refusal := self._index.refusal() or self.why_nothing_further():
            log.error("instance_refused", calling_ae=calling_ae, reason=refusal)
            return OUT_OF_RESOURCES
        name = f"{received.sop_instance_uid} {received.transfer_syntax_uid}"
        start = bytearray()
        body = _collecting_start(received.body, start)
        try:
            kept = self._folder.keep(body, header=received.header, name_from=name)
        except StorageFull as full:
            log.error("instance_refused", calling_ae=calling_ae, reason=str(full))
            return OUT_OF_RESOURCES
        except OSError as fault:  # the caller logs it and answers 0x0110
            reason = f"cannot be kept: {type(fault).__name__}"
            self.record_refusal(
                Refusal(
                    kind="instance_refused",
                    calling_ae=calling_ae,
                    what="an instance",
                    reason=reason,
                )
            )
            raise
        try:
            header = skim_header(bytes(start), received)
            header = header or read_header(self._folder.locate(kept.path))
            check_identity(header)
        except IdentityMismatch as fault:
            self._quarantine(kept.path, reason=str(fault), calling_ae=printable(calling_ae))
            return DATA_SET_DOES_NOT_MATCH
        except Unreadable as fault:
            self._quarantine(kept.path, reason=str(fault), calling_ae=printable(calling_ae))
            return CANNOT_UNDERSTAND
        instance = facts(header, kept, self._key, calling_ae=calling_ae, urgent=received.urgent)
        if refusal := self._hand_on(instance):
            log.error("instance_refused", calling_ae=calling_ae, reason=refusal)
            return OUT_OF_RESOURCES
        self._transfers.note(instance, received.transfer)
        return SUCCESS

    def _hand_on(self, instance: InstanceFacts) -> str:
        """Have a kept instance indexed; say why it is not safe yet, empty if it is.

        A file in the storage folder is; one that goes into a bucket is when it has its row there.
        """
        if self._folder.objects is None:
            self._index.record_instance(instance, self._clock())
            return ""
        try:
            self._folder.publish(instance.path)
        except ObjectsAway as fault:
            return str(fault)
        is_entered = self._index.enter_instance(instance, self._clock())
        return "" if is_entered else NO_ROW

    def record_refusal(self, refusal: Refusal) -> None:
        """Record a refusal, so that `dicom-node status`, the log and the auditor have it."""
        self.refusals.add(refusal)

    def _quarantine(self, path: str, *, reason: str, calling_ae: str) -> None:
        if self._folder.quarantined() >= MAXIMUM_QUARANTINED:  # it was answered with a failure
            self._folder.locate(path).unlink()
            self._folder.entered([path])
            self.record_refusal(
                Refusal(
                    kind="instance_refused",
                    calling_ae=calling_ae,
                    what="an unreadable instance",
                    reason=QUARANTINE_FULL,
                )
            )
            return
        moved, now = self._folder.quarantine(path), self._clock()
        log.warning("instance_quarantined", calling_ae=calling_ae, path=moved, reason=reason)
        self._index.put(
            lambda session: record_quarantine(
                session, moved, now, reason=reason, calling_ae=calling_ae
            )
        )

    def scan(self) -> int:
        """Index every kept file that has no row, as a crash leaves it; return how many.

        What cannot be read is logged, and left for a later start. Only for the start, before
        anything is received. Returns when all of them are in the database: nobody may take the
        first half of a series for all of it.
        """
        self._folder.remove_temporary()
        found = sum(map(self._scan_folder, INSTANCE_FOLDERS))
        if found:
            self._index.wait_until_written()
            log.warning("inbox_scanned", instances=found)
        return found

    def _scan_folder(self, place: str) -> int:
        """Index the files of one folder that have no row; no more paths are in memory at a time."""
        with self._index.sessions.reading() as session:
            kept = kept_in(session, place)
            try:
                unknown = self._folder.paths_in(place, INSTANCE_ENDING) - kept.keys()
            except OSError as fault:
                _tell_unreadable(place, fault)
                return 0
            unknown -= known_among(session, sorted(unknown))
        return sum(map(self._index_file, sorted(unknown)))

    def take_up(self, paths: Sequence[str]) -> int:
        """Index kept files of a receiver that has ended, those without a row; return how many.

        Returns when all of them are in the database.

        Raises
        ------
        TimeoutError
            If the database cannot be written for long; they stay noted.
        """
        for path in paths:  # they are ours to enter now
            self._folder.note(path)
        with self._index.sessions.reading() as session:
            known = known_among(session, paths)
        self._folder.entered(known)
        found = sum(map(self._index_file, sorted(set(paths) - known)))
        if found:
            self._index.wait_for_those_before()
        return found

    def _index_file(self, path: str) -> bool:
        """Index a file, or move it to quarantine; False if it cannot even be read."""
        try:
            self._take_up(path)
        except OSError as fault:
            _tell_unreadable(path, fault)
            return False
        return True

    def _take_up(self, path: str) -> None:
        kept = self._folder.kept_file(path)
        received_at = self._folder.written_at(path) or self._clock()
        try:
            header = read_header(self._folder.locate(path))
            check_identity(header)
        except Unreadable as fault:
            self._quarantine(path, reason=str(fault), calling_ae="")
            return
        instance = facts(header, kept, self._key, calling_ae=header.calling_ae)
        self._index.record_instance(instance, received_at)


def _tell_unreadable(path: str, fault: OSError) -> None:
    """Log that a file or a folder cannot be read: its instances stay without rows until it can."""
    log.error("file_unreadable", path=path, reason=fault.strerror or type(fault).__name__)


def rescan(resources: Resources) -> int:
    """Index every kept file that has no row, while the node does not run; return how many."""
    index = IndexWriter(resources.sessions)
    index.start()
    try:
        return InstanceIngest(resources, index).scan()
    finally:
        index.stop()


def _collecting_start(
    chunks: Iterable[bytes | memoryview], start: bytearray
) -> Iterator[bytes | memoryview]:
    """Pass chunks on, and copy their first `HEADER_BYTES` into `start`."""
    for chunk in chunks:
        if len(start) < HEADER_BYTES:
            start += chunk[: HEADER_BYTES - len(start)]
        yield chunk
