"""Read what a page shows of a patient from the file of one instance, when the page is opened.

The database does not know it, and nothing here is kept.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields
from pathlib import Path

from pydicom.charset import python_encoding
from pydicom.datadict import keyword_dict
from pydicom.errors import InvalidDicomError

from dicom_node.network.bounded_header import read_start
from dicom_node.reception.header_scan import scan
from pipeline.series.attributes import decode_text

HEADER_BYTES = 1 << 15  #: of a data set: what is wanted stands in its first hundred elements
CHARACTER_SET = keyword_dict["SpecificCharacterSet"]
SHOWN = {
    "accession": keyword_dict["AccessionNumber"],
    "patient_name": keyword_dict["PatientName"],
    "patient_id": keyword_dict["PatientID"],
    "birth_date": keyword_dict["PatientBirthDate"],
    "sex": keyword_dict["PatientSex"],
    "study_date": keyword_dict["StudyDate"],
    "study_description": keyword_dict["StudyDescription"],
    "series_description": keyword_dict["SeriesDescription"],
}
OF_PATIENT = ("patient_name", "patient_id", "birth_date", "sex")
FREE_TEXT = ("study_description", "series_description")  #: somebody may have typed a name
UNREADABLE = (OSError, InvalidDicomError, AttributeError, zlib.error, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Attributes of a study as text; empty where they are absent, or not to be shown."""

    accession: str = ""
    patient_name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    sex: str = ""
    study_date: str = ""
    study_description: str = ""
    series_description: str = ""


NOTHING = Identity()


def read_identity(path: Path, *, with_patient: bool) -> Identity:
    """Read them; what cannot be read is empty.

    Parameters
    ----------
    with_patient
        Whether name, ID, birth date and sex may be shown, and what may hold them.
    """
    try:
        meta, start = read_start(path, HEADER_BYTES)
        values = scan(start, meta.transfer_syntax_uid, {CHARACTER_SET, *SHOWN.values()})
    except UNREADABLE:
        return NOTHING
    if values is None:
        return NOTHING
    terms = values.get(CHARACTER_SET, b"").decode("latin-1").strip(" \0").split("\\")
    encodings = [python_encoding.get(term.strip(), "latin-1") for term in terms]
    wanted = {
        field.name: values[SHOWN[field.name]]
        for field in fields(Identity)
        if SHOWN[field.name] in values
        and (with_patient or field.name not in (*OF_PATIENT, *FREE_TEXT))
    }
    return Identity(**{name: _text(value, encodings) for name, value in wanted.items()})


def _text(value: bytes, encodings: list[str]) -> str:
    """Decode a value; what cannot be printed is replaced."""
    text = decode_text(value, encodings).strip(" \0").replace("^", " ")
    return "".join(letter if letter.isprintable() else "?" for letter in text).strip()
