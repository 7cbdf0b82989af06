"""Check a bundle before it leaves: patient, place, references, and conformance to the IODs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_dict, keyword_for_tag
from pydicom.dataelem import RawDataElement

from pipeline.encode.common.as_written import distinct, frozen, news, shallow_copy
from pipeline.encode.common.modules import zone_of
from pipeline.encode.conformance.iod_check import conform
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.result_objects import ResultBundle
from pipeline.encode.source import copied_attributes, source_slices
from pipeline.encode.source.value_representations import legal_form
from pipeline.errors import ConformanceError
from pipeline.series.attributes import items, text, texts
from pipeline.series.common_header import ONE_PATIENT
from pipeline.types import CtSeries
from pipeline.wording import figure

EARLIER = ("PredecessorDocumentsSequence", "PertinentOtherEvidenceSequence")
"""Sequences by which a report refers to earlier ones, which are in the PACS."""

MAX_OFFSET_MM = 0.1
"""Distance of a frame from its source slice at most; far less than any slice distance."""


def check(
    bundle: ResultBundle, series: CtSeries, before: ResultBundle | None = None
) -> ResultBundle:
    """Refuse a bundle that does not fit its source or the standard.

    Parameters
    ----------
    before
        Objects of the same result that were checked before, and may be referred to.

    Returns
    -------
    ResultBundle
        The same objects as the bytes that were judged, which need not be encoded again.

    Raises
    ------
    ConformanceError
        Patient or study attributes differ, also among the source's instances; an instance that
        is neither in the source nor in the bundle is referred to; frames of reference differ;
        a frame lies off the source slices; or an object is not as its IOD asks (see
        `pipeline.encode.conformance.iod_check`). The message names the attribute, never its value.
    """
    _check_one_patient(series)
    known = {text(header, "SOPInstanceUID") for header in series.headers}
    result = (*bundle.objects, *(before.objects if before else ()))
    known |= {str(item.dataset.SOPInstanceUID) for item in result}
    references = {
        str(item.dataset.FrameOfReferenceUID)
        for item in result
        if "FrameOfReferenceUID" in item.dataset
    }
    _check_frame_of_reference(references, series)
    objects = tuple(replace(item, dataset=frozen(item.dataset)) for item in bundle.objects)
    checked: dict[ResultKind, Dataset] = {}  # what is the same in many objects is judged once
    for item in objects:
        written = shallow_copy(item.dataset)  # judging decodes
        judged = distinct(news(written, checked[item.kind]) if item.kind in checked else written)
        checked.setdefault(item.kind, shallow_copy(item.dataset))
        _check_identity(written, series.common.header, item.kind)
        _check_references(judged, known, item.kind)
        conform(written, item.kind, judged)
        if item.kind is ResultKind.SEGMENTATION:
            _check_frames(written, series)
    return replace(bundle, objects=objects)


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


def _check_identity(written: Dataset, header: Dataset, kind: ResultKind) -> None:
    """Refuse another identity than the source's, and values that the source does not have."""
    for keyword in (*copied_attributes.PATIENT, *copied_attributes.STUDY):
        if not _agrees(written, header, keyword):
            raise ConformanceError(f"{keyword} of the {kind} differs from that of the source")
    if zone_of(written) != (zone_of(header) or zone_of(written)):
        raise ConformanceError(f"the time zone of the {kind} differs from that of the source")


def _agrees(written: Dataset, header: Dataset, keyword: str) -> bool:
    """Tell whether an element is that of the source; absent and empty are the same.

    Identity must have the same bytes. Of another value the source may have had an illegal form.
    """
    vr = dictionary_VR(keyword)
    if vr == "SQ":
        return len(items(written, keyword)) <= len(items(header, keyword))
    expected, found = (_bytes(dataset, keyword) for dataset in (header, written))
    if expected is not None and found is not None and expected == found:
        return True
    said, saying = texts(header, keyword), texts(written, keyword)
    if keyword in copied_attributes.IDENTITY:
        return said == saying and (expected is None or vr == "UI")
    return said == saying or saying == tuple(filter(None, (legal_form(vr, it) for it in said)))


def _bytes(dataset: Dataset, keyword: str) -> bytes | None:
    """Bytes of an element of text, with an even length; None if it was decoded already."""
    tag = keyword_dict[keyword]
    element = dataset.get_item(tag) if tag in dataset else None
    if element is None:
        return b""
    if not isinstance(element, RawDataElement):
        return b"" if element.is_empty else None
    value = element.value or b""
    if not value.strip(b" \0"):
        return b""
    return value + b" " * (len(value) % 2)


def _check_references(result: Dataset, known: set[str], kind: ResultKind) -> None:
    unknown = {uid for uid in _referenced(result) if uid not in known}
    if unknown:
        raise ConformanceError(
            f"the {kind} refers to {len(unknown)} instances outside the source and the bundle, "
            f"first {min(unknown)}"
        )


def _referenced(dataset: Dataset) -> Iterator[str]:
    """Referenced SOP Instance UIDs, those of earlier reports and of the copied study left out."""
    left_out = {*EARLIER, *copied_attributes.STUDY, *copied_attributes.PATIENT}
    for tag in dataset.keys():  # noqa: SIM118  # iterating the data set itself decodes it
        keyword = keyword_for_tag(tag)
        if keyword in left_out:
            continue
        if keyword == "ReferencedSOPInstanceUID":
            yield text(dataset, keyword)
        elif dataset.get_item(tag).VR == "SQ":
            for item in items(dataset, keyword):
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
                f"a segmentation frame lies {figure(offset, MAX_OFFSET_MM)} mm from the nearest"
                f" source slice, expected at most {MAX_OFFSET_MM} mm"
            )
