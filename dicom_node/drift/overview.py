"""Scanners with their references and changes, as the command line and the console show them."""

from __future__ import annotations

from dataclasses import dataclass

from storage.database.sessions import Session
from storage.results.drift import Finding, findings_by_scanner, open_findings, scanners_seen


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerLine:
    """One scanner.

    Attributes
    ----------
    reference_series, series_after
        Number of series of its reference so far, and of those after that.
    changes
        What nobody has accepted yet.
    """

    scanner: str
    reference_series: int
    series_after: int
    changes: tuple[Finding, ...]


def scanner_lines(session: Session, reference: int) -> list[ScannerLine]:
    """List the scanners, by their names.

    Parameters
    ----------
    reference
        Number of series that a reference has.
    """
    samples = {one.scanner: one.samples for one in scanners_seen(session)}
    found = findings_by_scanner(open_findings(session))
    return [
        ScannerLine(
            scanner=scanner,
            reference_series=min(samples.get(scanner, 0), reference),
            series_after=max(samples.get(scanner, 0) - reference, 0),
            changes=tuple(found.get(scanner, ())),
        )
        for scanner in sorted({*samples, *found})
    ]
