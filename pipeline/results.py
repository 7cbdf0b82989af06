"""Result objects that go back to the PACS: their kinds, and the bundle of one analysis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydicom import Dataset


class ResultKind(StrEnum):
    """Kinds of result object; their properties are in `pipeline.encode.result.kinds`."""

    SEGMENTATION = "segmentation"
    REPORT = "report"  #: measurements, for machines and viewers
    TEXT_REPORT = "text-report"  #: the same in sentences, for every viewer
    SUMMARY = "summary"  #: one page, a series of its own
    DOCUMENT = "document"  #: the page as PDF
    HEATMAP = "heatmap"
    PARAMETRIC_MAP = "parametric-map"
    KEY_IMAGES = "key-images"
    NOTICE = "notice"  #: the reason why a series was not analysed; in no bundle


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultObject:
    """One encoded DICOM object."""

    kind: ResultKind
    dataset: Dataset


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultBundle:
    """The objects of one analysis, in the order of sending; `key` is the result key."""

    key: str
    objects: tuple[ResultObject, ...]
