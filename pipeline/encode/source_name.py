"""What people call the source series: its number and description, without the patient.

All of it is ASCII, which every Specific Character Set holds. Identity is compared as the bytes
it was read as: decoded here, it could no longer be copied as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from pydicom import Dataset
from pydicom.datadict import keyword_dict

from pipeline.attributes import text

UID_END = 7
"""Characters of a Series Instance UID that name a series: few enough for a line of a list."""

IDENTITY = (
    "PatientName",
    "PatientBirthName",
    "OtherPatientNames",
    "PatientID",
    "OtherPatientIDs",
    "PatientBirthDate",
    "AccessionNumber",
)
"""Their values must not stand in a description that results show."""


def series_name(header: Dataset) -> str:
    """Name the series by number and description, as ``series 4, Lung 1.0``.

    A description that holds a name or an identifier of the patient is left out.

    Parameters
    ----------
    header
        Of any instance of the series.
    """
    named = picture_name(header)
    described = _plain(text(header, "SeriesDescription"))
    if not described or _identifies(described, header):
        return named
    return f"{named}, {described}"


def picture_name(header: Dataset) -> str:
    """Name the series as it may stand in pixels: as ``series 4``, or ``series UID ...34.5678``.

    A description is free text: no filter is sure to find a patient in it, and what is burned in
    stays when headers are made anonymous.
    """
    return f"series {number(header) or uid_end(header)}"


def number(header: Dataset) -> str:
    """Series Number; empty if the source has none."""
    given = text(header, "SeriesNumber")
    return str(int(given)) if re.fullmatch(r"\+?[0-9]{1,12}", given) else ""


def uid_end(header: Dataset) -> str:
    """Last characters of the Series Instance UID: what tells series without a number apart."""
    uid = text(header, "SeriesInstanceUID")
    if not re.fullmatch(r"[0-9.]+", uid):  # other characters might be words
        return "without a number"
    return f"UID ...{uid[-UID_END:].lstrip('.')}"


def _plain(words: str) -> str:
    """Words in ASCII, on one line, without accents; nothing of words that have no ASCII form.

    What is left of those would be read as something else.
    """
    if any(c.isalnum() and not _in_ascii(c) for c in words):
        return ""
    spelled = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode("ascii")
    return " ".join("".join(c if c.isprintable() else " " for c in spelled).split())


def _in_ascii(letter: str) -> bool:
    return unicodedata.normalize("NFKD", letter)[0].isascii()


def _identifies(words: str, header: Dataset) -> bool:
    return any(
        re.search(rf"(?<!\w){re.escape(part)}(?!\w)", words, re.IGNORECASE)
        for part in _identity(header)
    )


def _identity(header: Dataset) -> Iterator[str]:
    """Parts of names, and identifiers, as far as they are ASCII."""
    for tag in (keyword_dict[keyword] for keyword in IDENTITY):
        if tag in header:
            value = header.get_item(tag).value
            known = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
            yield from re.findall(r"[^\s^=\\\0\[\]',]+", known)
