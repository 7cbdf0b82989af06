"""Read the attributes of a received instance that the index needs, from its header."""

from __future__ import annotations

import json
import re
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.dataelem import RawDataElement
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.network.bounded_header import (
    HeaderTooLong,
    is_deflated,
    read_attributes,
    read_start,
)
from dicom_node.network.file_meta import FileMeta
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.reception.header_scan import PIXEL_GROUP, scan
from dicom_node.reception.slice_place import slice_facts
from pipeline.series.attributes import UNREADABLE, calendar_date
from pipeline.series.sop_classes import DOCUMENT_CLASSES
from storage.files.folder import KeptFile
from storage.files.identity_key import REMEMBERED, IdentityKey, plain_digest
from storage.files.self_test_mark import is_of_self_test
from storage.series.instance_facts import EquipmentFacts, InstanceFacts

NEEDED_UIDS = ("StudyInstanceUID", "SeriesInstanceUID")
NEEDED = (*NEEDED_UIDS, "Modality")
OF_INSTANCE = ("SOPClassUID", "SOPInstanceUID")
OF_PATIENT = ("PatientID", "IssuerOfPatientID", "PatientBirthDate")
OF_STUDY = ("StudyDate", "StudyTime", "AccessionNumber")
PRIORITY = "RequestedProcedurePriority"  #: (0040,1003), PS3.3 C.4.11
URGENT = {"STAT", "HIGH"}  #: Defined Terms of the priority that go before others
NUMBER = "SeriesNumber"
OF_SLICE = (
    "AcquisitionNumber",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "ImagesInAcquisition",
    "ConcatenationUID",
    "NumberOfFrames",
    "PixelSpacing",
)
OF_EQUIPMENT = {
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "model",
    "StationName": "station",
    "ConvolutionKernel": "kernel",
    "SoftwareVersions": "software",
}
"""Attributes of equipment and reconstruction (PS3.3 C.7.5.1, C.8.2.1), by keyword."""
OTHERS = (*OF_INSTANCE, *OF_PATIENT, *OF_STUDY, PRIORITY, NUMBER, *OF_SLICE, *OF_EQUIPMENT)
TAGS = {keyword_dict[name]: name for name in (*OTHERS, *NEEDED)}
LAST = max(TAGS)
BLANKS = " \0\t\n\v\f\r"  #: no part of a value; NUL pads UIDs (PS3.5 6.2)
MAX_UID = 64  #: characters, PS3.5 9.1
PLAIN_UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
"""Components of digits, PS3.5 9.1; leading zeros, which it forbids, are common and do no harm."""
UUID_FOR_UID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12,28}")
"""A bare UUID, as some archives give out for a UID: no UID, but no text either."""
PLAIN_CODE = re.compile(r"[A-Z0-9_ ]{0,16}")  #: PS3.5 6.2, value representation CS
TIME = re.compile(r"\d{2,6}(\.\d{1,6})?")  #: PS3.5 6.2, value representation TM
INTEGER = re.compile(r"[+-]?[0-9]{1,11}")  #: PS3.5 6.2, value representation IS
MAX_CODE_STRING = 16  #: characters, PS3.5 6.2, value representation CS
PARSED_BYTES = 1 << 16  #: of a header, by pydicom: takes eighty times the memory, and a second
HEADER_BYTES = 1 << 21  #: in which the UIDs must be found; a usual header has ten thousand
ONE_AT_A_TIME = threading.Lock()  #: all senders together have one header parsed or inflated
PARSE_ERRORS = (*UNREADABLE, InvalidDicomError, zlib.error)
"""Everything that parsing may raise when bytes are no data set, by C-STORE or by STOW-RS."""


class Unreadable(Exception):
    """The bytes are no data set, or do not say to which series they belong."""


class IdentityMismatch(Unreadable):
    """A data set names another SOP class or instance than its C-STORE request or its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The attributes of an instance that the index needs, as text.

    SOP Class and SOP Instance UID are those of the C-STORE request, which the File Meta
    Information holds: some senders leave them empty in the data set.

    Attributes
    ----------
    calling_ae
        AE title of the sender, if the file names it.
    texts
        Values of the attributes of `TAGS` that are there, by keyword.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    texts: Mapping[str, str]
    calling_ae: str = ""


def skim_header(start: bytes, received: ReceivedInstance) -> Header | None:
    """Read the header from the first bytes of a data set; None leaves it to `read_header`.

    That is so where the data set is in any way unusual.
    """
    values = scan(start, received.transfer_syntax_uid, TAGS)
    if values is None:
        return None
    texts = _texts(values)
    own = (received.sop_class_uid, received.sop_instance_uid)
    uids = (*own, *(texts.get(name, "") for name in NEEDED_UIDS))
    if not all(map(PLAIN_UID.fullmatch, uids)):
        return None
    if not PLAIN_CODE.fullmatch(texts.setdefault("Modality", "")):
        return None
    return Header(
        sop_class_uid=own[0],
        sop_instance_uid=own[1],
        transfer_syntax_uid=received.transfer_syntax_uid,
        texts=texts,
    )


def check_identity(header: Header) -> None:
    """Check that a data set is the instance that its request or File Meta Information names.

    What the data set leaves empty is theirs. Otherwise both must be the same (PS3.4 B.2.3, PS3.10
    7.1): whoever keeps one under the name of the other gives away wrong references. DCMTK's
    storescp answers 0xA900 as well.

    Raises
    ------
    IdentityMismatch
        If they differ.
    """
    named = (header.sop_class_uid, header.sop_instance_uid)
    for keyword, uid in zip(OF_INSTANCE, named, strict=True):
        if header.texts.get(keyword, "") not in {"", uid}:
            raise IdentityMismatch(
                f"{keyword}: the data set has another one than its request, or its File Meta"
                " Information"
            )


def read_header(path: Path) -> Header:
    """Read the header from a file.

    Raises
    ------
    Unreadable
        If the bytes cannot be parsed, or an identifier is missing.
    """
    try:
        with ONE_AT_A_TIME:
            meta, texts = _read(path)
    except PARSE_ERRORS as fault:
        raise Unreadable(f"the data set cannot be parsed ({type(fault).__name__})") from fault
    for name in NEEDED_UIDS:
        _check_uid(name, texts.get(name, ""))
    _check_uid("MediaStorageSOPClassUID", meta.sop_class_uid)
    _check_uid("MediaStorageSOPInstanceUID", meta.sop_instance_uid)
    return Header(
        sop_class_uid=meta.sop_class_uid,
        sop_instance_uid=meta.sop_instance_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        calling_ae=meta.source_ae,
        texts=texts,
    )


def _read(path: Path) -> tuple[FileMeta, dict[str, str]]:
    """Read the attributes with pydicom; of a longer header, scan the start."""
    try:
        meta, ds = read_attributes(path, TAGS, until=PIXEL_GROUP << 16, maximum_bytes=PARSED_BYTES)
    except HeaderTooLong:
        return _scanned(path)
    texts = {name: str(ds.get(name) or "").strip(BLANKS) for name in NEEDED}
    return meta, texts | {name: _plain(ds, name) for name in OTHERS}


def _scanned(path: Path) -> tuple[FileMeta, dict[str, str]]:
    meta, start = read_start(path, HEADER_BYTES)
    syntax = ExplicitVRLittleEndian if is_deflated(meta) else meta.transfer_syntax_uid
    values = scan(start, syntax, TAGS, until=LAST)
    if values is None:
        raise Unreadable(
            f"expected the UIDs of the series in the first {HEADER_BYTES} bytes of a regular data"
            " set, got a longer or an irregular header"
        )
    return meta, {"Modality": "", **_texts(values)}


def _texts(values: Mapping[int, bytes]) -> dict[str, str]:
    return {TAGS[tag]: value.decode("latin-1").strip(" \0") for tag, value in values.items()}


def _check_uid(name: str, value: str) -> None:
    if not 0 < len(value) <= MAX_UID:
        got = f"{len(value)} characters" if value else "nothing"
        raise Unreadable(f"{name}: expected a UID of at most {MAX_UID} characters, got {got}")
    if not value.isprintable():
        raise Unreadable(f"{name}: expected a UID, got characters that cannot be printed")
    if not (PLAIN_UID.fullmatch(value) or UUID_FOR_UID.fullmatch(value)):
        raise Unreadable(f"{name}: expected a UID (PS3.5 9.1), got other than digits and dots")


def facts(
    header: Header, kept: KeptFile, key: IdentityKey, *, calling_ae: str, urgent: bool = False
) -> InstanceFacts:
    """Make the facts for the index; urgent by the C-STORE priority or by its own attribute.

    Parameters
    ----------
    key
        Of the digests of who the patient is.
    """
    texts = header.texts
    studied, time = texts.get("StudyDate", ""), texts.get("StudyTime", "")
    return InstanceFacts(
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        series_instance_uid=texts["SeriesInstanceUID"],
        study_instance_uid=texts["StudyInstanceUID"],
        transfer_syntax_uid=header.transfer_syntax_uid,
        modality=printable(texts["Modality"][:MAX_CODE_STRING]),
        calling_ae=printable(calling_ae),
        path=kept.path,
        digest=kept.digest,
        bytes=kept.bytes,
        patient_key=key.digest(_patient(texts)),
        patient_digest=key.digest(texts.get("PatientID", "")),
        birth_digest=key.digest(texts.get("PatientBirthDate", "")),
        accession_key=key.digest(texts.get("AccessionNumber", "")),
        study_date=studied if calendar_date(studied) else "",
        study_time=time if TIME.fullmatch(time) else "",
        series_number=series_number(texts),
        is_document=header.sop_class_uid in DOCUMENT_CLASSES,
        patient_id=printable(texts.get("PatientID", "")),
        of_self_test=is_of_self_test(key, texts["SeriesInstanceUID"]),
        urgent=urgent or texts.get(PRIORITY, "").upper() in URGENT,
        slice=slice_facts(texts),
        equipment=equipment_of(texts),
    )


def equipment_of(texts: Mapping[str, str]) -> EquipmentFacts:
    """Name what made the images; what cannot be printed is replaced."""
    values = {name: printable(texts.get(keyword, "")) for keyword, name in OF_EQUIPMENT.items()}
    return EquipmentFacts(**values)


def series_number(texts: Mapping[str, str]) -> int | None:
    """Read the Series Number; None if there is none that is a number."""
    number = texts.get(NUMBER, "")
    return int(number) if INTEGER.fullmatch(number) else None


def printable(text: str) -> str:
    """Replace what cannot be printed: peers choose the text, and not every database takes it."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def attribute_digest(ds: Dataset, keyword: str) -> str:
    """Plain digest of an attribute; keyed, it is that of a received instance. Empty without one."""
    return plain_digest(_plain(ds, keyword))


def _patient(texts: Mapping[str, str]) -> str:
    """Name the patient by Patient ID and its issuer; empty without a Patient ID: unknown."""
    patient = texts.get("PatientID", "")
    return _issued(patient, texts.get("IssuerOfPatientID", "")) if patient else ""


@lru_cache(maxsize=REMEMBERED)
def _issued(patient: str, issuer: str) -> str:
    return json.dumps([patient, issuer])


def _plain(ds: Dataset, keyword: str) -> str:
    """Decode a value byte by byte (Latin-1), so that an unusual character set is no fault."""
    tag = keyword_dict[keyword]
    if tag not in ds:
        return ""
    element = ds.get_item(tag)
    value = element.value if isinstance(element, RawDataElement) else str(ds[tag].value or "")
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0")
