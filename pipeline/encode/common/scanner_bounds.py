"""Say whose bounds decide where a site takes them by scanner; the same for results and console."""

from __future__ import annotations

from pipeline.encode.language.translation import _, in_ascii
from pipeline.types import ScannerBounds


def scanner_words(found: ScannerBounds | None) -> str:
    """Say whose bounds decide, and why; empty where they are not taken by scanner."""
    if found is None:
        return ""
    if not found.group:
        return _("Bounds of all scanners: that of the series is in no group of the model.")
    group, negatives, positives = in_ascii(found.group), found.negatives, found.positives
    if found.own:
        return _(
            "Bounds of the scanner group {group}, chosen on {negatives} negative and {positives}"
            " positive cases of it.",
            group=group,
            negatives=negatives,
            positives=positives,
        )
    return _(
        "Bounds of all scanners: of the scanner group {group} there were too few cases for its own"
        " ({negatives} negative, {positives} positive).",
        group=group,
        negatives=negatives,
        positives=positives,
    )
