"""Look at the scanners now and then: fill in what made older series, test figures, tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dicom_node.drift.decision import shifts
from dicom_node.logs import log
from dicom_node.resources import Resources
from storage.files.folder_fault import storage_fault
from storage.results.drift import (
    Finding,
    enter_finding,
    fill_in_equipment,
    findings_by_scanner,
    open_findings,
    samples_of,
    scanners_after,
    series_without_equipment,
)
from storage.series.instance_facts import NOTHING_SAID, EquipmentFacts

PART = "drift"  #: in the condition of the node
LATEST = 1_000  #: series after the reference that are tested: longer than any change needs
FILLED_AT_ONCE = 200  #: series of which files are read in one round
MOST_TOLD = 3  #: scanners that are named as a fault, and changes of each
NOTE = "note"
MEANINGS = {
    "tell": "",
    "hold": "; its results are not delivered until that is accepted",
    "stop": "; its series are not analysed until that is accepted",
}
"""What is done meanwhile, by action: the severest last."""

ReadEquipment = Callable[[Path], EquipmentFacts]
"""Reads from an image what made it; raises `ValueError` or `OSError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRules:
    """What the settings say of scanners that change.

    Attributes
    ----------
    reference
        Number of series that a scanner's reference has.
    """

    action: str
    reference: int


@dataclass(slots=True, kw_only=True)
class DriftJob:
    """Job of the node that finds scanners that have changed, and tells of them."""

    resources: Resources
    rules: DriftRules
    read_equipment: ReadEquipment
    _tested_to: int = field(default=0, init=False)  #: the latest sample
    _is_filled: bool = field(default=False, init=False)

    def run_once(self) -> None:
        """Fill in, test what is new, and tell the condition of the node."""
        self._fill_in()
        self._test()
        with self.resources.sessions.reading() as session:
            fault = fault_of(open_findings(session))
        if fault:
            self.resources.health.fault(PART, fault)
        else:
            self.resources.health.well(PART)

    def take(self, rules: DriftRules) -> None:
        """Go by other settings from now on."""
        self.rules, self._tested_to = rules, 0

    def _fill_in(self) -> None:
        """Read what made series that were received before that was kept.

        What cannot be read says nothing, unless the storage folder is away.
        """
        folder = self.resources.folder
        if self._is_filled or storage_fault(folder):
            return
        with self.resources.sessions.reading() as session:
            wanted = series_without_equipment(session, FILLED_AT_ONCE)
        self._is_filled = not wanted
        found = {uid: self._read(path) for uid, path in wanted}
        if found and not storage_fault(folder):  # else it went meanwhile
            with self.resources.sessions.begin() as session:
                fill_in_equipment(session, found)

    def _read(self, path: str) -> EquipmentFacts:
        try:
            return self.read_equipment(self.resources.folder.locate(path))
        except (OSError, ValueError):
            return NOTHING_SAID

    def _test(self) -> None:
        """Test the figures of each scanner that has sent something since the last look."""
        with self.resources.sessions.reading() as session:
            scanners, latest = scanners_after(session, self._tested_to)
        for scanner in scanners:
            self._test_one(scanner)
        self._tested_to = latest

    def _test_one(self, scanner: str) -> None:
        with self.resources.sessions.reading() as session:
            reference, values = samples_of(session, scanner, self.rules.reference, LATEST)
        found = list(shifts(reference, values))
        with self.resources.sessions.begin() as session:
            new = [
                shift
                for shift in found
                if enter_finding(
                    session,
                    scanner,
                    shift.figure,
                    shift.text,
                    self.rules.action,
                    self.resources.clock(),
                )
            ]
        for shift in new:
            log.warning("drift_found", scanner=scanner, figure=shift.figure, what=shift.text)


def fault_of(findings: Sequence[Finding]) -> str:
    """Say what has changed of which scanners, and what is done meanwhile; empty if nothing has.

    What was only noted is none.
    """
    by_scanner = findings_by_scanner([one for one in findings if one.action != NOTE])
    if not by_scanner:
        return ""
    said = [_said(*one) for one in list(by_scanner.items())[:MOST_TOLD]]
    return f"{'. '.join(said)}{_further(len(by_scanner), 'scanners')}: dicom-node drift accept"


def _said(scanner: str, findings: Sequence[Finding]) -> str:
    words = "; ".join(finding.text for finding in findings[:MOST_TOLD])
    action = max((finding.action for finding in findings), key=list(MEANINGS).index)
    return f"{scanner}: {words}{_further(len(findings), 'changes')}{MEANINGS[action]}"


def _further(number: int, what: str) -> str:
    return f", and {number - MOST_TOLD} further {what}" if number > MOST_TOLD else ""
