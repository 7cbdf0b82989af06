"""Read the content of a report (SR) for those who take no DICOM: identity, study, statements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.sr.coding import Code
from pydicom.valuerep import PersonName

GROUP = "125007"  #: DCM, Measurement Group
IMAGE_LIBRARY = "111028"  #: DCM
TRACKING_IDENTIFIER = "112039"  #: DCM
LEFT_OUT = frozenset({"121106"})  #: DCM, Comment: the numbers once more, for viewers
OBSERVER = frozenset(str(121000 + number) for number in (5, *range(12, 18), 49))
"""DCM, observer context and language: the equipment is named by the header."""
PROCEDURE = "121058"  #: DCM, Procedure reported


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A number, a coded concept, or a text of a report.

    Attributes
    ----------
    name
        Its concept.
    group
        0 for what is said of the whole series, else the 1-based group of measurements.
    number, unit
        Of a measurement, else empty and None.
    value
        Of a coded concept, else None.
    text
        Of a text, else empty.
    """

    name: Code
    group: int
    number: str = ""
    unit: Code | None = None
    value: Code | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Whom a report is about, as its images say.

    Attributes
    ----------
    name
        Family, given, middle name, suffix and prefix.
    birth_date
        DICOM DA; empty if it is not known.
    sex
        DICOM code: M, F, O, or empty.
    """

    id: str
    issuer: str
    name: tuple[str, str, str, str, str]
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """What a report says.

    Attributes
    ----------
    series_instance_uid
        Of the images that were analysed; empty if it names none.
    studied_at, made_at
        When the study, and this report, began; None if that is not known. Aware if the report
        gives a time zone.
    placer_order, filler_order
        Numbers of the order, as its images have them.
    creator_uid
        Of the installation that made it, whatever its model; empty if it does not say.
    """

    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient: Patient
    accession_number: str
    placer_order: str
    filler_order: str
    procedure: Code
    title: Code
    studied_at: datetime | None
    made_at: datetime | None
    equipment: str
    software: str
    creator_uid: str
    statements: tuple[Statement, ...]


def read_report(path: Path) -> ReportContent:
    """Read a report.

    Raises
    ------
    AttributeError, LookupError, ValueError, OSError, pydicom.errors.InvalidDicomError
        If it is none, or is not there.
    """
    ds = dcmread(path)
    content = list(ds.ContentSequence)
    request = (ds.get("ReferencedRequestSequence") or [Dataset()])[0]
    return ReportContent(
        sop_instance_uid=str(ds.SOPInstanceUID),
        study_instance_uid=str(ds.StudyInstanceUID),
        series_instance_uid=_source_series(ds),
        patient=_patient(ds),
        accession_number=str(ds.get("AccessionNumber") or request.get("AccessionNumber") or ""),
        placer_order=str(request.get("PlacerOrderNumberImagingServiceRequest") or ""),
        filler_order=str(request.get("FillerOrderNumberImagingServiceRequest") or ""),
        procedure=next(
            (_code(item.ConceptCodeSequence[0]) for item in content if _name(item) == PROCEDURE),
            Code("24627-2", "LN", "CT Chest"),
        ),
        title=_code(ds.ConceptNameCodeSequence[0]),
        studied_at=_moment(ds.get("StudyDate"), ds.get("StudyTime"), ds),
        made_at=_moment(ds.get("ContentDate"), ds.get("ContentTime"), ds),
        equipment=str(ds.get("ManufacturerModelName") or ""),
        software=_text(ds.get("SoftwareVersions")),
        creator_uid=str(ds.get("InstanceCreatorUID") or ""),
        statements=tuple(_statements(content)),
    )


def _patient(ds: Dataset) -> Patient:
    name = PersonName(str(ds.get("PatientName") or "").split("=")[0])
    return Patient(
        id=str(ds.get("PatientID") or ""),
        issuer=str(ds.get("IssuerOfPatientID") or ""),
        name=(
            name.family_name,
            name.given_name,
            name.middle_name,
            name.name_suffix,
            name.name_prefix,
        ),
        birth_date=str(ds.get("PatientBirthDate") or ""),
        sex=str(ds.get("PatientSex") or ""),
    )


def _source_series(ds: Dataset) -> str:
    """Give the series that a report is evidence of: the first that it names in its own study."""
    for study in ds.get("CurrentRequestedProcedureEvidenceSequence") or ():
        for series in study.ReferencedSeriesSequence:
            if str(study.StudyInstanceUID) == str(ds.StudyInstanceUID):
                return str(series.SeriesInstanceUID)
    return ""


def _statements(content: list[Dataset]) -> Iterator[Statement]:
    groups = 0
    for item in content:
        if item.ValueType != "CONTAINER":
            if _name(item) not in OBSERVER | {PROCEDURE}:
                yield from _statement(item, 0)
        elif _name(item) != IMAGE_LIBRARY:
            for child in item.get("ContentSequence") or ():
                groups += _name(child) == GROUP
                rows = child.get("ContentSequence") or () if _name(child) == GROUP else [child]
                for row in rows:
                    yield from _statement(row, groups if _name(child) == GROUP else 0)


def _statement(item: Dataset, group: int) -> Iterator[Statement]:
    concept = item.get("ConceptNameCodeSequence")
    if not concept or _name(item) in LEFT_OUT:
        return
    name = _code(concept[0])
    match item.ValueType:
        case "NUM" if item.MeasuredValueSequence:
            value = item.MeasuredValueSequence[0]
            yield Statement(
                name=name,
                group=group,
                number=str(value.NumericValue),
                unit=_code(value.MeasurementUnitsCodeSequence[0]),
            )
        case "CODE":
            yield Statement(name=name, group=group, value=_code(item.ConceptCodeSequence[0]))
        case "TEXT":
            yield Statement(name=name, group=group, text=str(item.TextValue))


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeValue", "")) if names else ""


def _code(item: Dataset) -> Code:
    return Code(str(item.CodeValue), str(item.CodingSchemeDesignator), str(item.CodeMeaning))


def _text(value: object) -> str:
    return value if isinstance(value, str) else " ".join(map(str, value or ()))  # type: ignore[call-overload]  # several values


def _moment(date: object, time: object, ds: Dataset) -> datetime | None:
    """Put date and time together, in the time zone of the report if it names one."""
    digits = f"{date or ''}{str(time or '').partition('.')[0]:0<6}"
    try:
        moment = datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    offset = str(ds.get("TimezoneOffsetFromUTC") or "")
    if len(offset) != 5 or not offset[1:].isdecimal():  # +hhmm
        return moment.replace(tzinfo=None)
    minutes = int(offset[:3]) * 60 + int(f"{offset[0]}{offset[3:]}")
    return moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
