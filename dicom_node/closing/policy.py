"""Say, as the settings do, how long the series of a sender wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dicom_node.closing.decision import PATIENCE, ClosingRules
from pipeline.reasons import ClosedBy


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingPolicy:
    """What the settings say.

    Attributes
    ----------
    quiet_seconds, regular_seconds
        As in `ClosingRules`: of any sender, and of single ones by their AE title.
    min_slices, min_coverage_mm
        Of a series that is analysed.
    """

    quiet_seconds: float
    quiet_seconds_by_ae: Mapping[str, float] = field(default_factory=dict)
    regular_seconds: float = 0.0
    regular_seconds_by_ae: Mapping[str, float] = field(default_factory=dict)
    min_slices: int = 1
    min_coverage_mm: float = 0.0

    def rules(self, calling_ae: str, distrusted: frozenset[tuple[str, str]]) -> ClosingRules:
        """Give the rules for a sender.

        Parameters
        ----------
        distrusted
            Senders and proofs that were wrong a short while ago.
        """
        return ClosingRules(
            quiet_seconds=self.quiet_seconds_by_ae.get(calling_ae, self.quiet_seconds),
            regular_seconds=self.regular_seconds_by_ae.get(calling_ae, self.regular_seconds),
            distrusted=frozenset(
                proof for proof in ClosedBy if (calling_ae, str(proof)) in distrusted
            )
            - PATIENCE,
        )
