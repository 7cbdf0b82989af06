"""Look at the scanners now and then: fill in what made older series, test figures, tell."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dicom_node.drift.decision import shifts
from dicom_node.health import Health
from dicom_node.logs import log
from dicom_node.resources import Resources
from storage.results.drift import (
    Finding,
    ScannerSeen,
    enter_finding,
    fill_in_equipment,
    findings_by_scanner,
    open_findings,
    samples_of,
    scanners_seen,
    series_without_equipment,
    set_action,
)
from storage.series.instance_facts import NOTHING_SAID, EquipmentFacts

PART = "drift"  #: first word of the name of a scanner's condition
LATEST = 1_000  #: series after the reference that are tested: longer than any change needs
FILLED_AT_ONCE = 200  #: series of which files are read in one round
NOTE = "note"
MEANINGS = {
    "tell": "",
    "hold": "; its results are not delivered until that is accepted",
    "stop": "; its series are not analysed until that is accepted",
}
"""What is done meanwhile, by action."""

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
    _looked: dict[str, ScannerSeen] = field(default_factory=dict, init=False)
    _is_filled: bool = field(default=False, init=False)
    _told: set[str] = field(default_factory=set, init=False)

    def run_once(self) -> None:
        """Fill in, test what is new, and tell the condition of the node."""
        self._fill_in()
        self._test()
        with self.resources.sessions.begin() as session:
            set_action(session, self.rules.action)
            found = open_findings(session)
        self._tell(found)

    def take(self, rules: DriftRules) -> None:
        """Go by other settings from now on."""
        self.rules, self._looked = rules, {}

    def _fill_in(self) -> None:
        """Read what made series that were received before that was kept."""
        if self._is_filled:
            return
        with self.resources.sessions.reading() as session:
            wanted = series_without_equipment(session, FILLED_AT_ONCE)
        self._is_filled = not wanted
        found = {uid: NOTHING_SAID for uid, _ in wanted}
        for uid, path in wanted:
            with suppress(OSError, ValueError):  # what cannot be read says nothing
                found[uid] = self.read_equipment(self.resources.folder.locate(path))
        if found:
            with self.resources.sessions.begin() as session:
                fill_in_equipment(session, found)

    def _test(self) -> None:
        """Test the figures of each scanner that has sent something since the last look."""
        with self.resources.sessions.reading() as session:
            seen = scanners_seen(session)
        for scanner in seen:
            if self._looked.get(scanner.scanner) == scanner:
                continue
            if scanner.samples > self.rules.reference:
                self._test_one(scanner.scanner)
            self._looked[scanner.scanner] = scanner

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

    def _tell(self, found: list[Finding]) -> None:
        """Make each scanner with findings a fault, where the site wants to be told."""
        by_scanner = {} if self.rules.action == NOTE else findings_by_scanner(found)
        parts = {part_of(scanner): findings for scanner, findings in by_scanner.items()}
        for part, findings in parts.items():
            self.resources.health.fault(part, fault_of(findings, self.rules.action))
        clear(self.resources.health, self._told - parts.keys())
        self._told = set(parts)


def clear(health: Health, parts: set[str]) -> None:
    """Report scanners of which everything was accepted."""
    for part in parts:
        health.well(part)


def part_of(scanner: str) -> str:
    """Name a scanner in the condition of the node."""
    return f"{PART} {scanner}"


def fault_of(findings: list[Finding], action: str) -> str:
    """Say what has changed of a scanner, and what is done meanwhile."""
    words = "; ".join(finding.text for finding in findings)
    return f"{words}{MEANINGS[action]}: dicom-node drift accept"
