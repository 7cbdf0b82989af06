"""Receiving, on the side of the disk: the file is the truth, the index follows.

An instance is kept (file, name and directory on the disk) before its sender hears Success. Its
row in the database is written a moment later by one thread, many rows at a time; whatever a
crash leaves without a row is found by the scan at the next start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from dicom_node.logs import log
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, SUCCESS
from dicom_node.reception.header import Unreadable, facts, read_header, skim_header
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.resources import Resources
from storage.errors import StorageFull
from storage.files.folder import KeptFile
from storage.series.instances import known_paths
from storage.series.rejected import record_quarantine, record_refusal

HEADER_BYTES = 1 << 15  #: looked at on the way; a header that is longer is read from the file


class InstanceIngest:
    """Keeps what is received and has it indexed: the `Keeper` of the SCP."""

    def __init__(self, resources: Resources, index: IndexWriter) -> None:
        self._folder, self._clock = resources.folder, resources.clock
        self._index = index

    def keep(self, received: ReceivedInstance) -> int:
        """Keep one instance durably; return the C-STORE status.

        What cannot be understood is kept too, in quarantine, and answered 0xC000.
        """
        calling_ae = received.calling_ae
        name = f"{received.sop_instance_uid} {received.transfer_syntax_uid}"
        beginning = bytearray()
        body = _noting(received.body, beginning)
        try:
            kept = self._folder.keep(body, header=received.header, name_from=name)
        except StorageFull as full:
            log.error("instance_refused", calling_ae=calling_ae, reason=str(full))
            return OUT_OF_RESOURCES
        except OSError as fault:  # answered 0x0110 and logged where it was called
            reason = f"cannot be kept: {type(fault).__name__}"
            self.record_refusal(calling_ae=calling_ae, what="an instance", reason=reason)
            raise
        try:
            header = skim_header(bytes(beginning), received)
            header = header or read_header(self._folder.locate(kept.path))
        except Unreadable as fault:
            self._quarantine(kept.path, reason=str(fault), calling_ae=calling_ae)
            return CANNOT_UNDERSTAND
        noted = facts(header, kept, calling_ae=calling_ae, urgent=received.urgent)
        self._index.record_instance(noted, self._clock())
        return SUCCESS

    def record_refusal(self, *, calling_ae: str, what: str, reason: str) -> None:
        """Have a refusal indexed, so that `status` can show it."""
        now = self._clock()
        self._index.put(
            lambda session: record_refusal(
                session, now, calling_ae=calling_ae, what=what, reason=reason
            )
        )

    def _quarantine(self, path: str, *, reason: str, calling_ae: str) -> None:
        moved, now = self._folder.quarantine(path), self._clock()
        log.warning("instance_quarantined", calling_ae=calling_ae, path=moved, reason=reason)
        self._index.put(
            lambda session: record_quarantine(
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
        found = [kept for kept in self._folder.scan() if kept.path not in known]
        for kept in found:
            self._take_up(kept)
        if found:
            self._index.settle()
            log.warning("inbox_scanned", instances=len(found))
        return len(found)

    def _take_up(self, kept: KeptFile) -> None:
        path = self._folder.locate(kept.path)
        try:
            header = read_header(path)
        except Unreadable as fault:
            self._quarantine(kept.path, reason=str(fault), calling_ae="")
            return
        noted = facts(header, kept, calling_ae=header.calling_ae)
        received_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        self._index.record_instance(noted, received_at)


def _noting(
    chunks: Iterable[bytes | memoryview], beginning: bytearray
) -> Iterator[bytes | memoryview]:
    """Note the beginning of what passes by."""
    for chunk in chunks:
        if len(beginning) < HEADER_BYTES:
            beginning += chunk[: HEADER_BYTES - len(beginning)]
        yield chunk
