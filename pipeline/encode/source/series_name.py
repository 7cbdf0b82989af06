"""What people call the source series: its number and description, without the patient.

All of it is ASCII, which every Specific Character Set holds.
"""

from __future__ import annotations

import re
import unicodedata

from pydicom import Dataset

from pipeline.encode.source.free_text import identifies
from pipeline.series.attributes import text

UID_END = 7
"""Characters of a Series Instance UID that name a series: few enough for a line of a list."""


def series_name(header: Dataset) -> str:
    """Name the series by number and description, as ``series 4, Lung 1.0``.

    A description that holds a name or an identifier of the patient is left out.

    Parameters
    ----------
    header
        Of any instance of the series.
    """
    named = picture_name(header)
    words = text(header, "SeriesDescription")
    described = _plain(words)
    if not described or identifies(words, header):
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
    end = uid[-UID_END:].lstrip(".")
    if not re.fullmatch(r"[0-9.]+", uid) or identifies(end, header):  # who knows who made it
        return "without a number"
    return f"UID ...{end}"


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
