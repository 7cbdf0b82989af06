"""Who made a result, from what, and under which identifiers.

The result key is a digest of everything that decides a result; every UID of the result derives
from it. The same input analysed again therefore gives the same UIDs, and a repeated delivery is
harmless.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from pydicom.uid import UID

NAMESPACE = uuid.UUID("5b0f3d5e-7a52-4d0c-9c54-0a6f4a3f1c1d")
"""Namespace of the name-based UUIDs (RFC 9562, version 5); drawn once, never to be changed."""

DEFAULT_SERIES_NUMBER_BASE = 9000
"""Far above the numbers that scanners give, so that results come last in a viewer's list."""

DEFAULT_HEATMAP_COLUMNS = 256
"""148 slices: 32 MB instead of 125 MB; the activation itself is coarser than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """The device that made the result: the algorithm, in the words of IHE AIR 6.5.3.1.

    Attributes
    ----------
    device_uid
        New whenever the model is trained again (IHE AIR 6.5.3.1).
    """

    manufacturer: str
    model_name: str
    serial_number: str
    software_versions: str
    device_uid: str

    def __post_init__(self) -> None:
        empty = [name for name in self.__slots__ if not getattr(self, name)]
        if empty:
            raise ValueError(f"equipment needs a value for {', '.join(empty)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """The report that a new one supersedes."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultContext:
    """All that encoding needs beside the series and its analysis.

    Attributes
    ----------
    key
        From `result_key`; every UID derives from it.
    created
        When the result was made; aware.
    generation
        1 for the first result of a series, one more for each that supersedes it.
    series_number_base
        Series Numbers are this plus 1, 2, ...
    heatmap_max_columns
        Wider heatmaps are reduced by a whole factor; their Pixel Spacing says so.
    text_report
        Whether a short text report goes beside the measurements, for viewers which do not show
        a measurement report that has no planar regions (OHIF 3.13 shows a black pane).
    heatmap
        Whether the heatmap is made.
    """

    key: str
    equipment: Equipment
    created: datetime
    generation: int = 1
    predecessor: Predecessor | None = None
    series_number_base: int = DEFAULT_SERIES_NUMBER_BASE
    heatmap_max_columns: int = DEFAULT_HEATMAP_COLUMNS
    text_report: bool = True
    heatmap: bool = True

    def __post_init__(self) -> None:
        if self.created.tzinfo is None:
            raise ValueError("created must be an aware datetime, got a naive one")
        if not self.key:
            raise ValueError("key must not be empty")
        if self.heatmap_max_columns < 1:
            raise ValueError(f"heatmap_max_columns must be >= 1, got {self.heatmap_max_columns}")


class ResultSeries(Enum):
    """The series of a result: part of the UID, offset of the number, modality, description."""

    SEGMENTATION = ("segmentation", 1, "SEG", "AI segmentation: lungs and opacities")
    REPORT = ("report", 2, "SR", "AI report: measurements (research use)")
    TEXT_REPORT = ("text-report", 3, "SR", "AI report: text (research use)")
    NOTICE = ("notice", 5, "SR", "AI notice: series not analysed")
    HEATMAP = ("heatmap", 4, "OT", "AI heatmap: classifier activation")

    def __init__(self, part: str, offset: int, modality: str, description: str) -> None:
        self.part = part
        self.offset = offset
        self.modality = modality
        self.description = description


def result_key(
    series_instance_uid: str,
    instances: Iterable[tuple[str, str]],
    model: str,
    parameters: Mapping[str, str],
) -> str:
    """Digest of everything that decides a result.

    Parameters
    ----------
    instances
        SOP Instance UID and digest of the bytes of each instance, in any order.
    model
        Version and checksum of the model.
    parameters
        Settings that change results.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.
    """
    parts = [series_instance_uid, sorted(map(list, instances)), model, sorted(parameters.items())]
    canonical = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def derived_uid(key: str, *parts: str | int) -> UID:
    """UID under the key: ``2.25.`` and a name-based UUID (PS3.5 B.2, RFC 9562 section 5.5)."""
    name = json.dumps([key, *map(str, parts)])
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, name).int}")


def series_uid(context: ResultContext, series: ResultSeries) -> UID:
    """Series Instance UID of one of the result's series."""
    return derived_uid(context.key, series.part, "series")


def instance_uid(context: ResultContext, series: ResultSeries, number: int = 1) -> UID:
    """SOP Instance UID of the n-th instance of one of the result's series."""
    return derived_uid(context.key, series.part, "instance", number)
