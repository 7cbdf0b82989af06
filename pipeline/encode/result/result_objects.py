"""Encoded result objects, and the bundle of them that goes back to the PACS."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset

from pipeline.encode.result.kinds import ResultKind


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
