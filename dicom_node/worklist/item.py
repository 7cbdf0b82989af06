"""Read work items as the manager shows them, and write what it is told of them.

Attributes: PS3.4 Table CC.2.5-3; the macro of referenced instances: PS3.3 Table 10-3b.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.uid import UID

from dicom_node.network.storage_commitment import reference
from dicom_node.reception.header import PARSE_ERRORS, PLAIN_UID
from dicom_node.worklist.decision import Stage
from pipeline.series.sop_classes import CT_CLASSES
from storage.delivery.work_item_inputs import ArrivedObject
from storage.delivery.work_items import WorkItemInput, WorkItemRow

SCHEDULED, IN_PROGRESS = "SCHEDULED", "IN PROGRESS"
COMPLETED, CANCELED = "COMPLETED", "CANCELED"
READY = "READY"  #: Input Readiness State (0040,4041): all of the input is known, and there
PRIORITIES = ("HIGH", "MEDIUM", "LOW")  #: Scheduled Procedure Step Priority (0074,1200)
MAXIMUM_SERIES = 100  #: of the input of one work item
STATE_TAGS = (Tag("ProcedureStepState"),)
WANTED_TAGS = tuple(
    Tag(name)
    for name in (
        "InputInformationSequence",
        "InputReadinessState",
        "ProcedureStepState",
        "ScheduledStationNameCodeSequence",
        "ScheduledWorkitemCodeSequence",
        "SpecificCharacterSet",
    )
)
IMAGE_PROCESSING = ("110001", "DCM", "Image Processing")
"""Performed workitem where none is scheduled: PS3.16 CID 9231; COMPLETED needs a value."""
WORDS = 1_000  #: characters of a reason that the manager is told
SCHEME = "99DICOMNODE"  #: of our own code: `pipeline.encode.result.codes.PRIVATE_SCHEME`


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Work items that are this node's: by workitem code, by station name, or by both.

    Attributes
    ----------
    workitem_code, scheme
        Empty for any.
    station_name
        Code value; empty for any.
    """

    workitem_code: str = ""
    scheme: str = ""
    station_name: str = ""

    def fits(self, ds: Dataset) -> bool:
        """Tell whether a work item waits for this node; a manager may have matched less."""
        codes = ds.get("ScheduledWorkitemCodeSequence") or ()
        stations = ds.get("ScheduledStationNameCodeSequence") or ()
        return (
            state_of(ds) == SCHEDULED
            and str(ds.get("InputReadinessState") or "") == READY
            and (
                not self.workitem_code
                or (self.workitem_code, self.scheme) in [_coded(item) for item in codes]
            )
            and (
                not self.station_name or self.station_name in [_coded(item)[0] for item in stations]
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """From where objects that a destination has can be retrieved: one of the two.

    Attributes
    ----------
    ae_title
        Its AE title.
    url
        Its DICOMweb service.
    """

    ae_title: str = ""
    url: str = ""


def search_keys(selection: Selection) -> Dataset:
    """Make the Identifier of a query for work items that wait for this node."""
    ds = Dataset()
    ds.SOPInstanceUID = ""
    ds.ProcedureStepState, ds.InputReadinessState = SCHEDULED, READY
    ds.ScheduledProcedureStepPriority, ds.ScheduledProcedureStepStartDateTime = "", ""
    workitem = _code_item(selection.workitem_code, selection.scheme)
    ds.ScheduledWorkitemCodeSequence = [workitem] if selection.workitem_code else []
    station = _code_item(selection.station_name, "")
    ds.ScheduledStationNameCodeSequence = [station] if selection.station_name else []
    return ds


def in_order(matches: Iterable[Dataset]) -> list[str]:
    """List the UIDs of work items, the most urgent first, then the one that is to begin first."""

    def rank(ds: Dataset) -> tuple[int, str]:
        priority = str(ds.get("ScheduledProcedureStepPriority") or "")
        known = PRIORITIES.index(priority) if priority in PRIORITIES else len(PRIORITIES)
        return known, str(ds.get("ScheduledProcedureStepStartDateTime") or "")

    ranked = []
    for ds in matches:
        try:
            ranked.append((rank(ds), str(ds.get("SOPInstanceUID") or "")))
        except PARSE_ERRORS:  # one that cannot be read is left to others
            continue
    uids = [uid for _, uid in sorted(ranked, key=lambda one: one[0])]
    return [uid for uid in dict.fromkeys(uids) if PLAIN_UID.fullmatch(uid)]


def state_of(ds: Dataset) -> str:
    """Procedure Step State of a work item."""
    return str(ds.get("ProcedureStepState") or "")


def named_series(ds: Dataset) -> dict[tuple[str, str], tuple[str, ...]]:
    """List the CT that a work item has as its input: study and series, and instances that it names.

    A series of which only instances of other SOP classes are named is none.

    Raises
    ------
    ValueError
        If it names very many series.
    """
    named: dict[tuple[str, str], list[str]] = defaultdict(list)
    for item in ds.get("InputInformationSequence") or ():
        study = str(item.get("StudyInstanceUID") or "")
        series = str(item.get("SeriesInstanceUID") or "")
        references = item.get("ReferencedSOPSequence") or ()
        of_ct = [one for one in references if _is_ct(one)]
        if not PLAIN_UID.fullmatch(study) or not PLAIN_UID.fullmatch(series):
            continue
        if of_ct or not references:
            uids = [str(one.get("ReferencedSOPInstanceUID") or "") for one in of_ct]
            named[study, series] += uids
    if len(named) > MAXIMUM_SERIES:
        raise ValueError(f"at most {MAXIMUM_SERIES} series expected, got {len(named)}")
    return {
        place: tuple(uid for uid in dict.fromkeys(uids) if PLAIN_UID.fullmatch(uid))
        for place, uids in named.items()
    }


def _is_ct(reference_item: Dataset) -> bool:
    """Tell whether a referenced instance is one that is analysed, as far as is said."""
    sop_class = str(reference_item.get("ReferencedSOPClassUID") or "")
    return not sop_class or sop_class in CT_CLASSES


def inputs_of(named: Mapping[tuple[str, str], Sequence[str]]) -> list[WorkItemInput]:
    """List the series of an input; of those that are named twice the one that names more."""
    found: dict[str, WorkItemInput] = {}
    for (study, series), uids in named.items():
        if series not in found or len(found[series].named) < len(uids):
            found[series] = WorkItemInput(
                study_instance_uid=study, series_instance_uid=series, named=tuple(uids)
            )
    return list(found.values())


def progress(item: WorkItemRow, stage: Stage) -> Dataset:
    """Make what the manager is told of how far a work item is."""
    told = Dataset()
    told.ProcedureStepProgress = str(int(stage))
    told.ProcedureStepProgressDescription = stage.words
    return _modification(item, told)


def discontinuation(item: WorkItemRow, code: Code, now: datetime) -> Dataset:
    """Make what the manager is told of why a work item is given up."""
    told = Dataset()
    told.ProcedureStepCancellationDateTime = _time(now)
    told.ReasonForCancellation = _plain(item.reason)
    told.ProcedureStepDiscontinuationReasonCodeSequence = [
        _code_item(code.value, code.scheme_designator, code.meaning)
    ]
    return _modification(item, told)


def performance(
    item: WorkItemRow,
    performed: Dataset,
    outputs: Iterable[ArrivedObject],
    retrievals: Mapping[str, Retrieval],
    *,
    ae_title: str,
    now: datetime,
) -> Dataset:
    """Make what the manager is told of what was done, and where its results can be retrieved.

    Parameters
    ----------
    performed
        The work item, with its Scheduled Workitem Code Sequence.
    retrievals
        By destination.
    """
    told = Dataset()
    told.ProcedureStepProgress, told.ProcedureStepProgressDescription = "100", "done"
    ds = _modification(item, told)
    step = Dataset()
    step.PerformedStationNameCodeSequence = [_code_item(ae_title, SCHEME, ae_title)]
    scheduled = list(performed.get("ScheduledWorkitemCodeSequence") or ())
    step.PerformedWorkitemCodeSequence = scheduled or [_code_item(*IMAGE_PROCESSING)]
    if scheduled and performed.get("SpecificCharacterSet"):  # its meanings are handed on
        ds.SpecificCharacterSet = performed.SpecificCharacterSet
    step.PerformedProcedureStepStartDateTime = _time(item.claimed_at)
    step.PerformedProcedureStepEndDateTime = _time(now)
    step.OutputInformationSequence = _outputs(outputs, retrievals)
    ds.UnifiedProcedureStepPerformedProcedureSequence = [step]
    return ds


def _outputs(
    outputs: Iterable[ArrivedObject], retrievals: Mapping[str, Retrieval]
) -> list[Dataset]:
    """Make one item of each series of objects that have arrived at the same destinations."""
    places: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for one in outputs:
        key = (
            one.study_instance_uid,
            one.series_instance_uid,
            one.sop_class_uid,
            one.sop_instance_uid,
        )
        places[key].append(one.destination)
    groups: dict[tuple[str, str, tuple[str, ...]], list[Dataset]] = defaultdict(list)
    for (study, series, sop_class, uid), destinations in places.items():
        groups[study, series, tuple(destinations)].append(reference(sop_class, uid))
    return [
        _output(study, series, references, [retrievals[name] for name in destinations])
        for (study, series, destinations), references in groups.items()
    ]


def _output(
    study: str, series: str, references: list[Dataset], places: Iterable[Retrieval]
) -> Dataset:
    ds = Dataset()
    ds.TypeOfInstances = "DICOM"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.ReferencedSOPSequence = references
    by_ae, by_url = [], []
    for place in places:
        item = Dataset()
        if place.ae_title:
            item.RetrieveAETitle = place.ae_title
            by_ae.append(item)
        else:
            item.RetrieveURL = f"{place.url}/studies/{study}/series/{series}"
            by_url.append(item)
    if by_ae:
        ds.DICOMRetrievalSequence = by_ae
    if by_url:
        ds.WADORSRetrievalSequence = by_url
    return ds


def _modification(item: WorkItemRow, told: Dataset) -> Dataset:
    ds = Dataset()
    ds.TransactionUID = UID(item.transaction_uid)
    ds.ProcedureStepProgressInformationSequence = [told]
    return ds


def _coded(item: Dataset) -> tuple[str, str]:
    return str(item.get("CodeValue") or ""), str(item.get("CodingSchemeDesignator") or "")


def _code_item(value: str, scheme: str, meaning: str = "") -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator = value, scheme
    if meaning:
        ds.CodeMeaning = meaning
    return ds


def _time(moment: datetime) -> str:
    """Write a time as DICOM DT, in UTC."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000")


def _plain(text: str) -> str:
    """Make text that needs no Specific Character Set."""
    cut = text[:WORDS].encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else " " for letter in cut).replace("\\", "/")
