"""Answers of a report text: of each finding, and of the disease that results are about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pipeline.feedback.diagnosis import Diagnosis


class Said(StrEnum):
    """What a text says of a finding."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNCERTAIN = "uncertain"  #: suspected, possible, not excluded
    NOTHING = "nothing"  #: not mentioned, or as history, or as a question


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReading:
    """What a text says of pneumonia, and of COVID-19."""

    pneumonia: Said
    covid_19: Said

    @property
    def diagnosis(self) -> Diagnosis | None:
        """What that means for COVID-19, which results are about; None if nothing is said.

        Where COVID-19 is not mentioned, no pneumonia means none of COVID-19 either; a pneumonia
        without a cause is unclear.
        """
        if self.covid_19 is Said.POSITIVE:
            return Diagnosis.POSITIVE
        if self.covid_19 is Said.NEGATIVE:
            return Diagnosis.NEGATIVE
        if self.covid_19 is Said.UNCERTAIN:
            return Diagnosis.UNCLEAR
        if self.pneumonia is Said.NOTHING:
            return None
        return Diagnosis.NEGATIVE if self.pneumonia is Said.NEGATIVE else Diagnosis.UNCLEAR
