"""Modules common to all result objects: patient, study, series, equipment, SOP common.

Patient and study are those of the source (`pipeline.encode.source.copying`), so that the result
cannot fall to another patient, whatever the character set. Attributes that the source lacks stay
empty.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone

from highdicom import ContributingEquipment
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID

from pipeline.encode.language.catalogue import letters
from pipeline.encode.language.languages import Language
from pipeline.encode.language.translation import writing_in
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext, instance_uid, series_uid
from pipeline.encode.result.kinds import RESULT_KINDS, ResultKind
from pipeline.encode.source import copied_attributes, series_name
from pipeline.encode.source.copying import (
    copy_elements,
    empty_copy,
    holds,
    result_character_set,
)
from pipeline.errors import PipelineError
from pipeline.series.attributes import text
from pipeline.types import CtSeries

OFFSET = r"[+-](0[0-9]|1[0-4])[0-5][0-9]"  #: ``&ZZXX``, in the range of real time zones
LONGEST_LO = 64  #: characters (PS3.5 6.2)
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")


def new_object(
    source: Dataset,
    context: ResultContext,
    kind: ResultKind,
    sop_class_uid: str,
    number: int = 1,
) -> Dataset:
    """Dataset with the modules common to all results.

    Parameters
    ----------
    source
        Header of any instance of the source series.
    number
        Decides the SOP Instance UID; the n-th instance of the series.

    Raises
    ------
    PipelineError
        If the source has no Study Instance UID.
    """
    result = empty_copy(source, letters(context.products.language))
    copy_identity(source, result)
    _add_series(result, source, context, kind)
    _add_equipment(result, context)
    _add_sop_common(result, context, sop_class_uid)
    result.SOPInstanceUID = instance_uid(context, kind, number)
    result.InstanceNumber = number
    add_times(result, source, context)
    return result


def writing_for(source: Dataset, language: Language) -> AbstractContextManager[None]:
    """Write in a language; letters that the character set of the results lacks, in ASCII."""
    needed = letters(language)
    terms = result_character_set(source, needed)
    return writing_in(language, lacking=(one for one in needed if not holds(terms, one)))


def copy_identity(source: Dataset, result: Dataset) -> None:
    """Copy patient and study as they are; required attributes that are missing become empty."""
    copy_elements(
        source,
        result,
        (*copied_attributes.SOP_COMMON, *copied_attributes.PATIENT, *copied_attributes.STUDY),
    )
    if not text(result, "StudyInstanceUID"):
        raise PipelineError("the source has no Study Instance UID: a result cannot be filed")
    for keyword in copied_attributes.TYPE_2:
        if keyword not in result:
            setattr(result, keyword, None)


def local_time(source: Dataset, context: ResultContext) -> datetime:
    """Time of creation in the source's time zone; in the node's, if the source names none."""
    return context.created.astimezone(zone_of(source) or context.created.tzinfo)


def zone_of(source: Dataset) -> timezone | None:
    """Time zone that a source names (PS3.3 C.12.1.1.8); None without one that exists."""
    offset = text(source, "TimezoneOffsetFromUTC")
    if not re.fullmatch(OFFSET, offset):
        return None
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def da_tm(moment: datetime) -> tuple[str, str]:
    """Date and time as DA and TM."""
    return moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")


def add_times(result: Dataset, source: Dataset, context: ResultContext) -> None:
    """Add dates and times of creation, content and series, and their time zone.

    A source without a time zone is taken to be in that of the node.
    """
    moment = local_time(source, context)
    result.TimezoneOffsetFromUTC = moment.strftime("%z")[:5]
    date, time = da_tm(moment)
    for prefix in ("InstanceCreation", "Content", "Series"):
        setattr(result, f"{prefix}Date", date)
        setattr(result, f"{prefix}Time", time)


def _add_series(result: Dataset, source: Dataset, context: ResultContext, kind: ResultKind) -> None:
    row = RESULT_KINDS[kind]
    result.Modality = row.modality
    result.SeriesInstanceUID = series_uid(context, kind)
    result.SeriesNumber = context.numbering.first + row.series_offset
    result.SeriesDescription = _description(source, context, row.description)
    result.SeriesDescriptionCodeSequence = [codes.code_item(row.code)]


def _description(source: Dataset, context: ResultContext, content: str) -> str:
    """Series Description: the source series as viewers list it, the content, and the revision.

    A series that shares its number with another of the study is named by its UID as well. The
    intended use is named only where the 64 characters of LO leave room for it. It is English in
    every language: rules of routing and hanging rest on it.
    """
    with writing_in(Language.ENGLISH):
        name = series_name.picture_name(source)
    if context.numbering.ambiguous:
        name = f"{name} {series_name.uid_end(source)}"
    named = f"AI on {name}: {content}"
    revision = f", revision {context.generation}" if context.generation > 1 else ""
    full = f"{named} (research use){revision}"
    return full if len(full) <= LONGEST_LO else named + revision


def _add_equipment(result: Dataset, context: ResultContext) -> None:
    """Add General Equipment, and Contributing Equipment as in IHE AIR 6.5.3.1."""
    equipment = context.equipment
    result.Manufacturer = equipment.manufacturer
    result.ManufacturerModelName = equipment.model_name
    result.DeviceSerialNumber = equipment.serial_number
    result.SoftwareVersions = equipment.software_versions
    item = ContributingEquipment(
        manufacturer=equipment.manufacturer,
        purpose_of_reference=PROCESSING_EQUIPMENT,
        manufacturer_model_name=equipment.model_name,
        device_serial_number=equipment.serial_number,
        software_versions=equipment.software_versions,
    )
    item.DeviceUID = equipment.device_uid  # highdicom 0.28 has no argument for it
    result.ContributingEquipmentSequence = [item]


def _add_sop_common(result: Dataset, context: ResultContext, sop_class_uid: str) -> None:
    result.SOPClassUID = UID(sop_class_uid)
    result.InstanceCreatorUID = context.equipment.station_uid
    result.ContentQualification = "RESEARCH"
    result.CodingSchemeIdentificationSequence = [
        codes.private_scheme(context.equipment.manufacturer)
    ]


def add_body_part(series: CtSeries, result: Dataset) -> None:
    """Add the anatomy of the source, its laterality and its request attributes to an image.

    Not for reports: their series module has neither of the latter (PS3.3 C.17.1).
    """
    copy_elements(series.common.header, result, copied_attributes.SERIES)
    add_anatomy(series.common.header, result)


def add_anatomy(source: Dataset, result: Dataset) -> None:
    """Add the body part of the source (CHEST where it has none), and the lungs as what is shown.

    Archives route by Body Part Examined, and IHE AIR queries results by Primary Anatomic Structure
    (RAD-137); in the objects whose IOD has them not they are a standard extension (PS3.2 7.3).
    A body part that is in doubt (flag ``body-part``) is copied as well: routing and hanging
    protocols hold a study together by it, a result corrects no source, and the report states
    the doubt.
    """
    copy_elements(source, result, ("BodyPartExamined",))
    if not result.get("BodyPartExamined"):
        result.BodyPartExamined = "CHEST"
    result.PrimaryAnatomicStructureSequence = [codes.code_item(codes.LUNG)]


def add_lossy_history(series: CtSeries, result: Dataset) -> None:
    """State whether the source was ever compressed with loss (PS3.3 C.7.6.1.1.5)."""
    result.LossyImageCompression = "00"
    copy_elements(series.common.header, result, copied_attributes.LOSSY)
