"""Parts that reports share: document modules, evidence, observer, procedure (PS3.3 C.17)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import highdicom.sr as hd
from pydicom import Dataset
from pydicom.sequence import Sequence

from pipeline.encode.common.modules import new_object
from pipeline.encode.language.translation import current_language
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.identity import Equipment, Prior, ReportReference
from pipeline.encode.result.kinds import RESULT_KINDS, ResultKind
from pipeline.encode.source import source_slices
from pipeline.encode.source.copying import copy_elements, empty_copy
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.series.attributes import items, text

Item = TypeVar("Item", bound=Dataset)

CONTAINS = hd.RelationshipTypeValues.CONTAINS

REQUEST = (
    "AccessionNumber",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
)
"""Type 2 in Referenced Request Sequence (PS3.3 C.17.2)."""

REQUEST_DETAILS = (
    "StudyInstanceUID",
    "IssuerOfAccessionNumberSequence",
    "OrderPlacerIdentifierSequence",
    "OrderFillerIdentifierSequence",
    "ReasonForTheRequestedProcedure",
    "ReasonForRequestedProcedureCodeSequence",
)
"""Copied where the source has them; the study's own UID stands in for a missing one."""

CODE = (
    "CodeValue",
    "LongCodeValue",
    "URNCodeValue",
    "CodingSchemeDesignator",
    "CodingSchemeVersion",
    "CodeMeaning",
)
"""Basic Code Sequence macro (PS3.3 table 8.8-1)."""

ACCESSION = ("AccessionNumber", "IssuerOfAccessionNumberSequence")


def new_document(
    header: Dataset, context: ResultContext, kind: ResultKind, sop_class_uid: str
) -> Dataset:
    """Report without content: complete, unverified, preliminary."""
    result = new_object(header, context, kind, sop_class_uid)
    result.CompletionFlag = "COMPLETE"
    result.VerificationFlag = "UNVERIFIED"
    result.PreliminaryFlag = "PRELIMINARY"
    result.ReferencedPerformedProcedureStepSequence = Sequence()
    result.PerformedProcedureCodeSequence = Sequence()
    add_requests(result, header)
    if predecessors := _predecessors(context, kind):
        result.PredecessorDocumentsSequence = by_study(predecessors)
    return result


def _predecessors(context: ResultContext, kind: ResultKind) -> list[ReportReference]:
    """Documents of the earlier result that one of this kind supersedes.

    The main document supersedes all of them, another one that of its kind. So no document stays
    current for want of a successor of its kind, and Key Object Selections, whose module has no
    Predecessor Documents (PS3.3 C.17.6.2), are superseded as well.
    """
    others = context.superseded
    if RESULT_KINDS[kind].stands_for_result:
        main = [context.predecessor] if context.predecessor is not None else []
        return [*main, *(others[name] for name in sorted(others))]
    return [others[kind]] if kind in others else []


def add_requests(result: Dataset, header: Dataset) -> None:
    """Add the requests that the source names, if any (PS3.3 C.17.2)."""
    requests = [_request(result, item) for item in items(header, "RequestAttributesSequence")]
    if requests:
        result.ReferencedRequestSequence = requests


def _request(result: Dataset, attributes: Dataset) -> Dataset:
    """Copy a request as it is; the study's accession number stands in for a missing one."""
    item = empty_copy(attributes)
    item.ReferencedStudySequence = Sequence()
    copy_elements(attributes, item, (*REQUEST, *REQUEST_DETAILS))
    if not text(attributes, "AccessionNumber"):
        copy_elements(result, item, ACCESSION)
    if not text(attributes, "StudyInstanceUID"):
        item.StudyInstanceUID = text(result, "StudyInstanceUID")
    for keyword in REQUEST:
        if keyword not in item:
            setattr(item, keyword, None)
    return item


def _sop_reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def _study_references(study_uid: str, by_series: dict[str, Sequence]) -> Dataset:
    """Hierarchical SOP Instance Reference (PS3.3 table C.17-3)."""
    study = Dataset()
    study.StudyInstanceUID = study_uid
    study.ReferencedSeriesSequence = Sequence()
    for series_uid, instances in by_series.items():
        item = Dataset()
        item.SeriesInstanceUID = series_uid
        item.ReferencedSOPSequence = instances
        study.ReferencedSeriesSequence.append(item)
    return study


def add_evidence(
    result: Dataset, slices: tuple[SourceSlice, ...], segmentation: Dataset | None
) -> None:
    """List every instance that the report rests on: the CT, and the SEG if it refers to one."""
    series_uid = text(slices[0].header, "SeriesInstanceUID")
    by_series = {series_uid: source_slices.instance_references(slices)}
    if segmentation is not None:
        instance = _sop_reference(segmentation.SOPClassUID, segmentation.SOPInstanceUID)
        by_series[str(segmentation.SeriesInstanceUID)] = Sequence([instance])
    result.CurrentRequestedProcedureEvidenceSequence = [
        _study_references(text(result, "StudyInstanceUID"), by_series)
    ]


def add_priors(result: Dataset, priors: tuple[Prior, ...]) -> None:
    """List the reports of earlier results that this one is compared with."""
    if priors:
        result.PertinentOtherEvidenceSequence = by_study(prior.report for prior in priors)


def by_study(reports: Iterable[ReportReference]) -> Sequence:
    """List objects by study and series (PS3.3 table C.17-3)."""
    studies: dict[str, dict[str, Sequence]] = {}
    for report in reports:
        by_series = studies.setdefault(report.study_instance_uid, {})
        instance = _sop_reference(report.sop_class_uid, report.sop_instance_uid)
        by_series.setdefault(report.series_instance_uid, Sequence()).append(instance)
    return Sequence(_study_references(uid, by_series) for uid, by_series in studies.items())


def evidence(headers: Iterable[Dataset]) -> Sequence:
    """Evidence of instances given by their headers, all of one study."""
    by_series: dict[str, Sequence] = {}
    study_uid = ""
    for header in headers:
        study_uid = text(header, "StudyInstanceUID")
        instance = _sop_reference(text(header, "SOPClassUID"), text(header, "SOPInstanceUID"))
        by_series.setdefault(text(header, "SeriesInstanceUID"), Sequence()).append(instance)
    return Sequence([_study_references(study_uid, by_series)])


def observation_context(equipment: Equipment, *, brief: bool = False) -> hd.ObservationContext:
    """TID 1001 with the device of Contributing Equipment as observer (TID 1004).

    Parameters
    ----------
    brief
        By UID and name alone, for texts: people read it before anything else.
    """
    if brief:
        device = hd.DeviceObserverIdentifyingAttributes(
            uid=equipment.device_uid, name=equipment.model_name
        )
    else:
        device = hd.DeviceObserverIdentifyingAttributes(
            uid=equipment.device_uid,
            name=equipment.model_name,
            manufacturer_name=equipment.manufacturer,
            model_name=equipment.model_name,
            serial_number=equipment.serial_number,
        )
    return hd.ObservationContext(
        observer_device_context=hd.ObserverContext(
            observer_type=hd.CodedConcept.from_code(codes.DEVICE),
            observer_identifying_attributes=device,
        )
    )


def content_language() -> hd.LanguageOfContentItemAndDescendants:
    """Language in which the sentences of a document are written (TID 1204)."""
    spoken = hd.CodedConcept.from_code(codes.language(current_language()))
    return hd.LanguageOfContentItemAndDescendants(spoken)


def procedure_reported(header: Dataset) -> hd.CodedConcept:
    """Procedure that was imaged: that of the source, else CT of the chest."""
    return source_procedure(header) or hd.CodedConcept.from_code(codes.CT_CHEST)


def source_procedure(header: Dataset) -> hd.CodedConcept | None:
    """Procedure that the source names first (Procedure Code Sequence), if any."""
    source = empty_copy(header)
    copy_elements(header, source, ("ProcedureCodeSequence",))
    for item in items(source, "ProcedureCodeSequence"):
        code = Dataset()
        copy_elements(item, code, CODE)
        return hd.CodedConcept.from_dataset(code)
    return None


def separate(container: Item) -> Item:
    """Say of a container, and of all inside it, that its items are apart (PS3.3 C.18.8).

    Continuous ones are one running text to viewers.
    """
    if container.ValueType == "CONTAINER":
        container.ContinuityOfContent = "SEPARATE"
        for item in container.get("ContentSequence", ()):
            separate(item)
    return container
