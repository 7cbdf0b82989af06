"""Check a bundle before it leaves: patient, place, references, and conformance to the IODs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.dataelem import RawDataElement

from pipeline.encode.common.modules import zone_of
from pipeline.encode.conformance.iod_check import conform
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.result_objects import ResultBundle
from pipeline.encode.source import copied_attributes, source_slices
from pipeline.errors import ConformanceError
from pipeline.series.attributes import UNREADABLE
from pipeline.series.common_header import ONE_PATIENT
from pipeline.types import CtSeries

EARLIER = ("PredecessorDocumentsSequence", "PertinentOtherEvidenceSequence")
"""Sequences by which a report refers to earlier ones, which are in the PACS."""

MAX_OFFSET_MM = 0.1
"""Distance of a frame from its source slice at most; far less than any slice distance."""


def check(bundle: ResultBundle, series: CtSeries) -> None:
    """Refuse a bundle that does not fit its source or the standard.

    Raises
    ------
    ConformanceError
        Patient or study attributes differ, also among the source's instances; an instance that
        is neither in the source nor in the bundle is referred to; frames of reference differ;
        a frame lies off the source slices; or an object is not as its IOD asks (see
        `pipeline.encode.conformance.iod_check`). The message names the attribute, never its value.
    """
    _check_one_patient(series)
    known = {str(header.SOPInstanceUID) for header in series.headers}
    known |= {str(item.dataset.SOPInstanceUID) for item in bundle.objects}
    references = {
        str(item.dataset.FrameOfReferenceUID)
        for item in bundle.objects
        if "FrameOfReferenceUID" in item.dataset
    }
    _check_frame_of_reference(references, series)
    for item in bundle.objects:
        _check_identity(item.dataset, series.common.header, item.kind)
        _check_references(item.dataset, known, item.kind)
        conform(item.dataset, item.kind)
        if item.kind is ResultKind.SEGMENTATION:
            _check_frames(item.dataset, series)


def _check_one_patient(series: CtSeries) -> None:
    for keyword in ONE_PATIENT:
        differing = series.common.differing.get(keyword)
        if differing:
            raise ConformanceError(
                f"{keyword} differs in {differing} of {series.common.instances} instances"
                " of the series"
            )


def _check_frame_of_reference(found: set[str], series: CtSeries) -> None:
    expected = series.volume.frame_of_reference_uid
    if len(found) > 1 or (expected and found - {expected}):
        raise ConformanceError(
            f"expected one frame of reference {expected or '(derived)'}, got {sorted(found)}"
        )


def _check_identity(result: Dataset, header: Dataset, kind: ResultKind) -> None:
    for keyword in (
        *copied_attributes.SOP_COMMON,
        *copied_attributes.PATIENT,
        *copied_attributes.STUDY,
    ):
        if not _equal(result, header, keyword_dict[keyword]):
            raise ConformanceError(f"{keyword} of the {kind} differs from that of the source")
    if zone_of(result) != (zone_of(header) or zone_of(result)):
        raise ConformanceError(f"the time zone of the {kind} differs from that of the source")


def _equal(result: Dataset, header: Dataset, tag: int) -> bool:
    """Tell whether the bytes agree, or else the values; absent and empty are the same."""
    raw = [dataset.get_item(tag) for dataset in (result, header)]
    if all(isinstance(element, RawDataElement) for element in raw):
        return raw[0] == raw[1] or bool(_value(result, tag) == _value(header, tag))
    return bool(_value(result, tag) == _value(header, tag))


def _value(dataset: Dataset, tag: int) -> object:
    """Value of an element; None if it is absent, empty or cannot be decoded."""
    try:
        return (dataset[tag].value or None) if tag in dataset else None
    except UNREADABLE:
        return None


def _check_references(result: Dataset, known: set[str], kind: ResultKind) -> None:
    unknown = {uid for uid in _referenced(result) if uid not in known}
    if unknown:
        raise ConformanceError(
            f"the {kind} refers to {len(unknown)} instances outside the source and the bundle, "
            f"first {min(unknown)}"
        )


def _referenced(dataset: Dataset) -> Iterator[str]:
    """Referenced SOP Instance UIDs, those of earlier reports and of the copied study left out."""
    for element in dataset:
        if element.keyword in {*EARLIER, *copied_attributes.STUDY, *copied_attributes.PATIENT}:
            continue
        if element.keyword == "ReferencedSOPInstanceUID":
            yield str(element.value)
        elif element.VR == "SQ":
            for item in element.value or []:
                yield from _referenced(item)


def _check_frames(segmentation: Dataset, series: CtSeries) -> None:
    allowed = np.array([item.position for item in source_slices.real_slices(series)])
    placed = np.array(
        [
            [float(value) for value in frame.PlanePositionSequence[0].ImagePositionPatient]
            for frame in segmentation.PerFrameFunctionalGroupsSequence
        ]
    )
    for position in np.unique(placed, axis=0):
        offset = float(np.linalg.norm(allowed - position, axis=1).min())
        if offset > MAX_OFFSET_MM:
            raise ConformanceError(
                f"a segmentation frame lies {offset:.2f} mm from the nearest source slice, "
                f"expected at most {MAX_OFFSET_MM} mm"
            )
