"""All that encoding needs beside a series and its analysis; the series that results make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from pydicom.sr.coding import Code
from pydicom.uid import UID

from pipeline.encode.result import codes
from pipeline.encode.result.identity import Equipment, Prior, ReportReference, derived_uid
from pipeline.encode.result.products import Products

DEFAULT_SERIES_NUMBER_BASE = 9000
"""Far above the numbers that scanners give, so that results come last in a viewer's list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultContext:
    """All that encoding needs beside the series and its analysis.

    Attributes
    ----------
    key
        From `result_key`; every UID derives from it.
    created
        When the result was made; aware, in the time zone of the node.
    generation
        1 for the first result of a series, one more for each that supersedes it.
    predecessor
        The report, or notice, that this one supersedes.
    superseded
        The other documents of that result, by kind (`pipeline.results.ResultKind`).
    priors
        Earlier results of the same patient, the latest first.
    series_number_base
        Series Numbers are this plus 0, 1, 2, ...; where the source has a number itself.
    """

    key: str
    equipment: Equipment
    created: datetime
    generation: int = 1
    predecessor: ReportReference | None = None
    superseded: Mapping[str, ReportReference] = field(default_factory=dict)
    priors: tuple[Prior, ...] = ()
    series_number_base: int = DEFAULT_SERIES_NUMBER_BASE
    products: Products = field(default_factory=Products)

    def __post_init__(self) -> None:
        if self.created.tzinfo is None:
            raise ValueError("created must be an aware datetime, got a naive one")
        if not self.key:
            raise ValueError("key must not be empty")


class ResultSeries(Enum):
    """The series of a result: part of UID, offset of number, modality, description, code."""

    SUMMARY = ("summary", 0, "OT", "summary", codes.SUMMARY_SERIES)
    SEGMENTATION = ("segmentation", 1, "SEG", "segmentation", codes.SEGMENTATION)
    REPORT = (
        "report",
        2,
        "SR",
        "measurements",
        codes.IMAGING_MEASUREMENT_REPORT,
    )
    TEXT_REPORT = (
        "text-report",
        3,
        "SR",
        "text report",
        codes.DIAGNOSTIC_IMAGING_REPORT,
    )
    HEATMAP = ("heatmap", 4, "OT", "heatmap", codes.HEATMAP_SERIES)
    NOTICE = ("notice", 5, "SR", "not analysed", codes.NOTICE_SERIES)
    PARAMETRIC_MAP = ("parametric-map", 6, "OT", "activation map", codes.ACTIVATION_SERIES)
    KEY_IMAGES = ("key-images", 7, "KO", "key images", codes.OF_INTEREST_SERIES)
    DOCUMENT = ("document", 8, "DOC", "summary (PDF)", codes.SUMMARY_SERIES)

    def __init__(self, part: str, offset: int, modality: str, description: str, code: Code) -> None:
        self.part = part
        self.offset = offset
        self.modality = modality
        self.description = description
        self.code = code


def series_uid(context: ResultContext, series: ResultSeries) -> UID:
    """Series Instance UID of one of the result's series."""
    return derived_uid(context.key, series.part, "series")


def instance_uid(context: ResultContext, series: ResultSeries, number: int = 1) -> UID:
    """SOP Instance UID of the n-th instance of one of the result's series."""
    return derived_uid(context.key, series.part, "instance", number)
