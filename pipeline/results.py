"""The objects that go back to the PACS: which kinds there are, and a bundle of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydicom import Dataset


class ResultKind(StrEnum):
    """The kinds of object a bundle holds."""

    SEGMENTATION = "segmentation"
    REPORT = "report"  #: measurements, for machines and viewers
    TEXT_REPORT = "text-report"  #: the same in sentences, for every viewer
    SUMMARY = "summary"  #: one page, a series of its own
    DOCUMENT = "document"  #: the page as PDF
    HEATMAP = "heatmap"
    PARAMETRIC_MAP = "parametric-map"
    KEY_IMAGES = "key-images"
    NOTICE = "notice"  #: why a series was not analysed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultObject:
    """One encoded DICOM object."""

    kind: ResultKind
    dataset: Dataset


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultBundle:
    """The objects that go back to the PACS, in the order in which they should be sent."""

    key: str
    objects: tuple[ResultObject, ...]
