"""What disagrees between files and rows is found, told once, and mended on request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from dicom_node.logs import log
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.resources import Resources
from storage.delivery.conclusion import conclude
from storage.maintenance.reconcile import (
    STUCK,
    Finding,
    Kind,
    disagreements,
    mark_missing,
    nothing_to_send,
)
from storage.maintenance.recovery import recover
from storage.series.rejected import forget_quarantine, record_quarantine

REMEDIES: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.INSTANCES_MISSING: "--mend notes that they are gone; have the series sent again",
        Kind.RESULT_MISSING: "restore the file, or erase the series and have it sent again",
        Kind.NOT_INDEXED: "--mend, or a start of the node, takes it up",
        Kind.RESULT_UNKNOWN: "nobody has seen it: --mend removes it",
        Kind.TEMPORARY_LEFT: "--mend, or a start of the node, removes it",
        Kind.QUARANTINE_MISSING: "--mend takes the row away",
        Kind.QUARANTINE_UNKNOWN: "--mend enters it",
        Kind.ANALYSING_STUCK: "--mend, or a start of the node, has it analysed again",
        Kind.SENDING_STUCK: "--mend, or a start of the node, has it sent again",
        Kind.NOTHING_TO_SEND: "--mend ends the series",
    }
)


def find(resources: Resources) -> list[Finding]:
    """Compare everything, and change nothing; nobody who writes waits for it."""
    with resources.sessions.reading() as session:
        return disagreements(session, resources.folder, resources.clock())


def repair(resources: Resources) -> None:
    """Do all that is safe. The node must not run: see `dicom_node.folder_lock`."""
    now = resources.clock()
    with resources.sessions.begin() as session:
        recover(session, now)
        mark_missing(session, resources.folder, now)
        for _, key in nothing_to_send(session):
            conclude(session, key, now)
    _mend_quarantine(resources, now)
    unknown = [each.what for each in find(resources) if each.kind is Kind.RESULT_UNKNOWN]
    resources.folder.discard(unknown, before=now - STUCK)
    index = IndexWriter(resources.sessions)
    index.start()
    try:
        InstanceIngest(resources, index).scan()
    finally:
        index.stop()


def _mend_quarantine(resources: Resources, now: datetime) -> None:
    found = find(resources)
    gone = [each.what for each in found if each.kind is Kind.QUARANTINE_MISSING]
    with resources.sessions.begin() as session:
        forget_quarantine(session, gone)
        for each in found:
            if each.kind is Kind.QUARANTINE_UNKNOWN:
                reason = "found without a row; why it came here is not known"
                record_quarantine(session, each.what, now, reason=reason, calling_ae="")


class ConsistencyMonitor:
    """Looks at times and logs what disagrees, each disagreement once."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._told: set[Finding] = set()

    def run_once(self) -> None:
        """Look once."""
        found = set(find(self._resources))
        for each in sorted(found - self._told, key=lambda each: (each.kind, each.what)):
            log.warning("disagreement_found", kind=each.kind, what=each.what, detail=each.detail)
        self._told = found
