"""Find where files and rows disagree, log each disagreement once, and repair on request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from dicom_node.logs import log
from dicom_node.reception.ingest import rescan
from dicom_node.resources import Resources
from storage.delivery.series_completion import conclude
from storage.maintenance.consistency import (
    STUCK,
    Finding,
    Kind,
    disagreements,
    mark_missing,
    nothing_to_send,
)
from storage.maintenance.recovery import recover
from storage.series.quarantine_and_refusals import forget_quarantine, record_quarantine

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
    """Find all disagreements; changes nothing, and no writer waits for it."""
    with resources.sessions.reading() as session:
        return disagreements(session, resources.folder, resources.clock())


def repair(resources: Resources) -> None:
    """Repair what is safe to repair. The node must not run: see `dicom_node.folder_lock`."""
    now = resources.clock()
    with resources.sessions.begin() as session:
        recover(session, now)
        mark_missing(session, resources.folder, now)
        for _, key in nothing_to_send(session):
            conclude(session, key, now)
    _repair_quarantine(resources, now)
    findings = find(resources)
    unknown = [finding.what for finding in findings if finding.kind is Kind.RESULT_UNKNOWN]
    resources.folder.discard(unknown, before=now - STUCK)
    rescan(resources)


def _repair_quarantine(resources: Resources, now: datetime) -> None:
    """Delete rows of quarantined files that are gone, and enter files without a row."""
    findings = find(resources)
    gone = [finding.what for finding in findings if finding.kind is Kind.QUARANTINE_MISSING]
    with resources.sessions.begin() as session:
        forget_quarantine(session, gone)
        for finding in findings:
            if finding.kind is Kind.QUARANTINE_UNKNOWN:
                reason = "found without a row; why it came here is not known"
                record_quarantine(session, finding.what, now, reason=reason, calling_ae="")


class ConsistencyMonitor:
    """Periodic job that logs disagreements of a running node, each once."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._logged: set[Finding] = set()

    def run_once(self) -> None:
        """Find the disagreements of now, and log those that are new."""
        findings = set(find(self._resources))
        for finding in sorted(findings - self._logged, key=lambda new: (new.kind, new.what)):
            log.warning(
                "disagreement_found", kind=finding.kind, what=finding.what, detail=finding.detail
            )
        self._logged = findings
