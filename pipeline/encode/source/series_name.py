"""Name the source series for people by number and description, without patient identity.

What comes from the source is ASCII, which every Specific Character Set holds.
"""

from __future__ import annotations

import re
import unicodedata

from pydicom import Dataset

from pipeline.encode.language.translation import _
from pipeline.encode.source.free_text import identifies
from pipeline.series.attributes import optional_integer, text

LARGEST_NUMBER = 10**12 - 1  #: longer ones, as long as an IS may be, leave no room in a list
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
    name = picture_name(header)
    words = text(header, "SeriesDescription")
    description = _plain(words)
    if not description or identifies(words, header):
        return name
    return f"{name}, {description}"


def picture_name(header: Dataset) -> str:
    """Name the series for pixels: as ``series 4``, or ``series UID ...34.5678``.

    A description is free text: no filter is sure to find a patient in it, and burned-in text
    stays when headers are made anonymous.
    """
    return _("series {name}", name=number(header) or uid_end(header))


def number(header: Dataset) -> str:
    """Series Number; empty if the source has none."""
    given = optional_integer(header, "SeriesNumber", least=0, most=LARGEST_NUMBER)
    return "" if given is None else str(given)


def uid_end(header: Dataset) -> str:
    """Last characters of the Series Instance UID, which tell series without a number apart."""
    uid = text(header, "SeriesInstanceUID")
    end = uid[-UID_END:].lstrip(".")
    # a UID may be built from a name or a number of the patient
    if not re.fullmatch(r"[0-9.]+", uid) or identifies(end, header):
        return _("without a number")
    return f"UID ...{end}"


def _plain(words: str) -> str:
    """Words in ASCII, on one line, without accents; empty if a letter has no ASCII form.

    The rest of such words would be read as something else.
    """
    if any(c.isalnum() and not _in_ascii(c) for c in words):
        return ""
    spelled = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode("ascii")
    return " ".join("".join(c if c.isprintable() else " " for c in spelled).split())


def _in_ascii(letter: str) -> bool:
    return unicodedata.normalize("NFKD", letter)[0].isascii()
