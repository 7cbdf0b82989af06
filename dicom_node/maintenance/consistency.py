"""Find where files and rows disagree, log each disagreement once, and repair on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

from dicom_node.database_lease import read_age, which_is_older
from dicom_node.errors import NodeError
from dicom_node.identity_key import identity_key_fault, keyed
from dicom_node.logs import log
from dicom_node.maintenance.comparison import (
    MOST_TOLD,
    ROUND_SECONDS,
    ComparisonProcess,
    Request,
    compare,
)
from dicom_node.reception.ingest import rescan
from dicom_node.resources import Resources
from storage.database.lease import forget_finding, read_lease
from storage.delivery.series_completion import conclude
from storage.files.folder_fault import storage_fault
from storage.maintenance.consistency import (
    Finding,
    Kind,
    joined,
    mark_missing,
    missing_instances,
    nothing_to_send,
    totals,
    without_rows_before,
)
from storage.maintenance.recovery import recover
from storage.maintenance.repair_limit import Change, excessive
from storage.series.quarantine_and_refusals import forget_quarantine, record_quarantine

FOLDER = "storage folder"  #: part of the node that is out of order where much disagrees
AWAY = "storage"  #: likewise, where the folder cannot be worked with
KEY = "identity key"  #: likewise, where its file is lost: the node has it in memory until it ends
DAMAGED = "damaged objects"  #: likewise, where what was fetched from the bucket is not what was put
MOST_LOGGED = 20  #: disagreements of one kind that are logged one by one

REMEDIES: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.COPY_RESTORED: "--mend ends this note",
        Kind.KEY_LOST: "restore the file from a backup of the storage folder: without it no start;"
        " --mend --force draws another, unless it only cannot be read, and forgets who the patients"
        " so far were",
        Kind.INSTANCES_MISSING: "--mend notes that they are gone; have the series sent again",
        Kind.RESULT_MISSING: "restore the files, or have them made anew by dicom-node reprocess",
        Kind.NOT_INDEXED: "--mend, or a start of the node, takes it up",
        Kind.RESULT_UNKNOWN: "not entered in this database: made before a crash, or sent before an"
        " older copy of the database was restored; --mend removes it",
        Kind.TEMPORARY_LEFT: "--mend, or a start of the node, removes it",
        Kind.UNREADABLE: "look at its disk, and at the rights of the node's user; nothing is judged"
        " by what it holds until it can be read",
        Kind.QUARANTINE_MISSING: "--mend takes the row away",
        Kind.QUARANTINE_UNKNOWN: "--mend enters it",
        Kind.ANALYSING_STUCK: "--mend, or a start of the node, has it analysed again",
        Kind.SENDING_STUCK: "--mend, or a start of the node, has it sent again",
        Kind.NOTHING_TO_SEND: "--mend ends the series",
        Kind.INSTANCE_CHANGED: "restore the file, or have the series sent again",
        Kind.RESULT_CHANGED: "restore the file, or remove it and have it made anew by reprocess",
    }
)


def find(resources: Resources) -> list[Finding]:
    """Find all disagreements; changes nothing, and no writer waits for it."""
    of_all = _of_all(resources)
    made = compare(resources.sessions, resources.folder, resources.clock())
    return [*of_all, *made.findings]


def _of_all(resources: Resources) -> list[Finding]:
    """Find what is wrong with database and folder as a whole."""
    age = read_age(resources.folder.root)  # before the database, which is never behind it
    with resources.sessions.reading() as session:
        lease = read_lease(session)
        found = which_is_older(lease, age) or (lease.found if lease else "")
    restored = [Finding(kind=Kind.COPY_RESTORED, what=found)] if found else []
    lost = identity_key_fault(resources.sessions, resources.folder.root)
    return restored + ([Finding(kind=Kind.KEY_LOST, what=lost)] if lost else [])


def check_repair(resources: Resources, findings: Sequence[Finding]) -> None:
    """Check that a repair of these findings keeps within `storage.maintenance.repair_limit`.

    Raises
    ------
    NodeError
        If it would change so much that the folder or the database must be wrong.
    """
    counts: Counter[Kind] = Counter()
    for finding in findings:
        counts[finding.kind] += finding.count
    with resources.sessions.reading() as session:
        there = totals(session, resources.folder)
    _check_changes(resources.folder.root, counts, there)


def _check_changes(folder: Path, counts: Mapping[Kind, int], there: Mapping[Kind, int]) -> None:
    changes = [
        Change(kind=kind, count=counts.get(kind, 0), total=total) for kind, total in there.items()
    ]
    if found := excessive(changes):
        what = ", ".join(f"{change.kind}: {change.count} of {change.total}" for change in found)
        raise NodeError(
            f"{folder}: too much disagrees ({what}): is the folder mounted, and is"
            " it the one of this database? --mend --force changes all of it nevertheless"
        )


def repair(resources: Resources, *, force: bool = False) -> None:
    """Repair what is safe to repair. The node must not run: see `dicom_node.folder_lock`.

    Parameters
    ----------
    force
        Whether to repair however much disagrees.

    Raises
    ------
    NodeError
        As `check_repair`, or if the identity key is lost; then nothing is changed.
    """
    now = resources.clock()
    resources = keyed(resources, forget=force)
    if not force:
        check_repair(resources, find(resources))
    with resources.sessions.reading() as session:
        missing = list(missing_instances(session, resources.folder))
    with resources.sessions.begin() as session:
        forget_finding(session)
        recover(session, now)
        mark_missing(session, missing, now)
        for _, key in nothing_to_send(session):
            conclude(session, key, now)
    _repair_quarantine(resources, now)
    unknown = [found.what for found in find(resources) if found.kind is Kind.RESULT_UNKNOWN]
    with resources.sessions.reading() as session:
        before = without_rows_before(session, now)
    resources.folder.discard(unknown, before=before)
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


def folder_is_away(resources: Resources) -> bool:
    """Tell whether the folder of a running node is away, or cannot be written; report it if so.

    Nothing may be judged then: a file that is away would count as removed, and retention would
    record it so.
    """
    fault = storage_fault(resources.folder)
    if not fault:
        resources.health.well(AWAY)
        return False
    resources.health.fault(AWAY, f"nothing is kept, analysed or sent: {fault}", receiving=False)
    return True


def tell_damaged(resources: Resources) -> None:
    """Report objects of the bucket that are not what was put; each counts as a missing file."""
    if damaged := sorted(resources.folder.damaged):
        resources.health.fault(
            DAMAGED,
            f"{len(damaged)} objects of the bucket are not what was put, the first:"
            f" {damaged[0]}; restore it, or have the series sent again",
        )
    else:
        resources.health.well(DAMAGED)


class ConsistencyMonitor:
    """Periodic job that logs disagreements of a running node, each once.

    Rows and files are compared in a process of its own, for `round_seconds` at most each time: the
    next run goes on where it ended.
    """

    def __init__(self, resources: Resources, *, round_seconds: float = ROUND_SECONDS) -> None:
        self._resources, self._round_seconds = resources, round_seconds
        self._process = ComparisonProcess()
        self._logged: set[tuple[Kind, str]] = set()
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Begin with the first part, and with nothing found."""
        self._after = ""
        self._found: list[Finding] = []
        self._counts, self._looked_at = Counter[Kind](), Counter[Kind]()

    def run_once(self) -> None:
        """Compare some parts, and log what is new: of many a few, and how many.

        So much that the folder or the database must be wrong is a fault of the storage folder.
        """
        request = Request(
            database_url=self._resources.sessions.url,
            folder=str(self._resources.folder.root),
            objects=self._resources.folder.objects,
            now=self._resources.clock(),
            after=self._after,
            seconds=self._round_seconds,
        )
        try:
            made = self._process.run(request)
        except NodeError:
            if self._process.is_stopped:
                return
            raise
        self._after = made.after
        self._found = joined([*self._found, *made.findings])[:MOST_TOLD]
        self._counts.update(made.counts)
        self._looked_at.update(made.looked_at)
        self._check_folder()
        findings = [*_of_all(self._resources), *self._found]
        self._tell_key(findings)
        self._log_new(findings)
        if not self._after:
            self._logged = {(finding.kind, finding.what) for finding in findings}
            self._begin_anew()

    def stop(self) -> None:
        """End what is compared at the moment."""
        self._process.stop()

    def _check_folder(self) -> None:
        try:
            _check_changes(self._resources.folder.root, self._counts, self._looked_at)
            self._resources.health.well(FOLDER)
        except NodeError as fault:
            self._resources.health.fault(FOLDER, str(fault))

    def _log_new(self, findings: Collection[Finding]) -> None:
        new = {(one.kind, one.what): one for one in findings}
        for key in self._logged & new.keys():
            del new[key]
        ordered = [new[key] for key in sorted(new)]
        for kind, group in groupby(ordered, key=lambda finding: finding.kind):
            _log(kind, list(group))
        self._logged |= new.keys()

    def _tell_key(self, findings: Collection[Finding]) -> None:
        lost = [finding.what for finding in findings if finding.kind is Kind.KEY_LOST]
        if lost:
            self._resources.health.fault(KEY, f"{lost[0]}: {REMEDIES[Kind.KEY_LOST]}")
        else:
            self._resources.health.well(KEY)


def _log(kind: Kind, findings: Sequence[Finding]) -> None:
    for finding in findings[:MOST_LOGGED]:
        log.warning("disagreement_found", kind=kind, what=finding.what, detail=finding.detail)
    if (more := len(findings) - MOST_LOGGED) > 0:
        log.warning("disagreement_found", kind=kind, what=f"{more} more: see dicom-node doctor")
