"""What the index needs to know of a received instance, read from its header."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from pathlib import Path
from typing import cast

from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_dict
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from storage.files import KeptFile
from storage.instances import InstanceFacts

NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality")
OF_PATIENT = ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "StudyDate", "StudyTime")
PRIORITY = "RequestedProcedurePriority"  #: (0040,1003), PS3.3 C.4.11
URGENT = {"STAT", "HIGH"}  #: its Defined Terms that go before others
TAGS = [*NEEDED, *OF_PATIENT, PRIORITY]
MAX_UID = 64  #: characters, PS3.5 9.1
DATE = re.compile(r"\d{8}")  #: PS3.5 6.2, value representation DA
TIME = re.compile(r"\d{2,6}(\.\d{1,6})?")  #: PS3.5 6.2, value representation TM
CANNOT_PARSE = (  #: what pydicom says of bytes that are no data set
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    ValueError,
    KeyError,
    AttributeError,
    NotImplementedError,
    OSError,
)
MAX_CODE_STRING = 16  #: characters, PS3.5 6.2, value representation CS
META_BYTES = 4096  #: at the start of a file; File Meta Information is shorter
META_START = 144  #: bytes of preamble, prefix and (0002,0000), PS3.10 7.1
INFLATED_BYTES = 64 << 20  #: of a deflated data set that nobody minds; a slice of 4096² has 32 MiB
MAX_INFLATION = 20  #: of a longer one; CT comes to two or three times its deflated length
CHUNK_BYTES = 1 << 20
BROKEN = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    ArithmeticError,
    NotImplementedError,
    RecursionError,
    OSError,
    struct.error,
    zlib.error,
)
"""What pydicom raises when bytes are no data set."""


class Unreadable(Exception):
    """The bytes are no data set that can be told to belong to a series."""


def read_header(path: Path) -> Dataset:
    """Read the attributes of `TAGS` and the file meta information.

    Raises
    ------
    Unreadable
        If the bytes cannot be parsed, or an identifier is missing.
    """
    try:
        _check_inflation(path)
        ds = dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
        values = {tag: str(ds.get(tag) or "").strip() for tag in NEEDED}
    except BROKEN as fault:
        raise Unreadable(f"the data set cannot be parsed ({type(fault).__name__})") from fault
    for tag in ("StudyInstanceUID", "SeriesInstanceUID"):
        _check_uid(tag, values[tag])
    return cast(Dataset, ds)


def _check_inflation(path: Path) -> None:
    """Refuse a deflated data set that would fill the memory: pydicom inflates it all at once."""
    with path.open("rb") as file:
        if DeflatedExplicitVRLittleEndian.encode() not in file.read(META_BYTES):
            return
        meta = read_file_meta_info(path)
        file.seek(META_START + meta.FileMetaInformationGroupLength)
        most = max(INFLATED_BYTES, MAX_INFLATION * path.stat().st_size)
        inflater, length = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while length <= most and (data := inflater.unconsumed_tail or file.read(CHUNK_BYTES)):
            length += len(inflater.decompress(data, CHUNK_BYTES))
    if length > most:
        raise Unreadable(f"expected a data set that inflates to {most} bytes at most, got more")


def _check_uid(name: str, value: str) -> None:
    if not 0 < len(value) <= MAX_UID:
        got = f"{len(value)} characters" if value else "nothing"
        raise Unreadable(f"{name}: expected a UID of at most {MAX_UID} characters, got {got}")
    if not value.isprintable():
        raise Unreadable(f"{name}: expected a UID, got characters that cannot be printed")


def facts(ds: Dataset, kept: KeptFile, *, calling_ae: str, urgent: bool = False) -> InstanceFacts:
    """Put together what the index needs; urgent is what is sent so, or says so itself.

    The UIDs of the instance are those of the C-STORE request, which the file meta information
    holds: some senders leave them empty in the data set.

    Raises
    ------
    Unreadable
        If these are none.
    """
    meta = ds.file_meta
    for name in ("MediaStorageSOPInstanceUID", "MediaStorageSOPClassUID"):
        _check_uid(name, str(meta.get(name) or ""))
    return InstanceFacts(
        sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
        sop_class_uid=str(meta.MediaStorageSOPClassUID),
        series_instance_uid=str(ds.SeriesInstanceUID).strip(),
        study_instance_uid=str(ds.StudyInstanceUID).strip(),
        transfer_syntax_uid=str(meta.TransferSyntaxUID),
        modality=str(ds.get("Modality") or "").strip()[:MAX_CODE_STRING],
        calling_ae=calling_ae,
        path=kept.path,
        digest=kept.digest,
        bytes=kept.bytes,
        patient_key=patient_key(ds),
        birth_digest=digest(_plain(ds, "PatientBirthDate")),
        study_date=_matching(DATE, ds, "StudyDate"),
        study_time=_matching(TIME, ds, "StudyTime"),
        urgent=urgent or _plain(ds, PRIORITY).upper() in URGENT,
    )


def patient_key(ds: Dataset) -> str:
    """Digest of Patient ID and its issuer; empty without an ID: then nobody knows who it is."""
    patient, issuer = (_plain(ds, keyword) for keyword in ("PatientID", "IssuerOfPatientID"))
    return digest(json.dumps([patient, issuer])) if patient else ""


def digest(value: str) -> str:
    """Compute the SHA-256, hexadecimal; empty of nothing."""
    return hashlib.sha256(value.encode()).hexdigest() if value else ""


def _matching(form: re.Pattern[str], ds: Dataset, keyword: str) -> str:
    value = _plain(ds, keyword)
    return value if form.fullmatch(value) else ""


def _plain(ds: Dataset, keyword: str) -> str:
    """Take a value as its bytes are, one character each: odd ones are no fault here."""
    tag = keyword_dict[keyword]
    if tag not in ds:
        return ""
    element = ds.get_item(tag)
    value = element.value if isinstance(element, RawDataElement) else str(ds[tag].value or "")
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0")
