"""An earlier result of the same patient, to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pipeline.encode.result.identity import ReportReference


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What this node found in an earlier study of the patient.

    Attributes
    ----------
    study_date
        Study Date of the earlier study.
    right, left, total
        Share of each lung, and of both, taken by opacities, 0 to 1; None where opacities were
        not reported.
    model
        Name and version, a space between; scores of different models do not compare.
    report
        Where the earlier report is.
    """

    study_date: date
    score: float
    threshold: float
    right: float | None
    left: float | None
    total: float | None
    model: str
    report: ReportReference

    @property
    def positive(self) -> bool:
        """Whether the score lay above the threshold of that time."""
        return self.score > self.threshold
