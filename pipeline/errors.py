"""Exceptions of the pipeline, one for each reaction of the caller.

PipelineError
├── UnsuitableSeries     not a series this algorithm is meant for; no retry, no alarm
│   └── InvalidGeometry  the slices do not form one regular volume; a late slice may mend it
├── ModelError           weights missing, altered, or of another architecture
├── OutOfMemory          memory does not suffice, however little of it is asked for at a time
└── ConformanceError     a result must not leave: it does not fit its source or the standard

Messages never hold a patient's name, identifier or accession number.
"""

from pipeline.reasons import UnsuitableReason
from pipeline.wording import bounded


class PipelineError(Exception):
    """Base of everything the pipeline raises on purpose."""


class UnsuitableSeries(PipelineError):
    """The series is outside the algorithm's intended use.

    Attributes
    ----------
    code
        Such as ``too-few-slices``.
    text
        The figure, and what was expected; no full stop. Cut to a length that people read:
        headers may hold anything.
    """

    def __init__(self, code: UnsuitableReason, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = bounded(text)

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


class InvalidGeometry(UnsuitableSeries):
    """The slices do not form one regular volume."""


class ModelError(PipelineError):
    """The weights are missing, altered, or of another architecture."""


class OutOfMemory(PipelineError):
    """Memory does not suffice, however little of it is asked for at a time."""


class ConformanceError(PipelineError):
    """A result must not leave: it does not fit its source or the standard."""
