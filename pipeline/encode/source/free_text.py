"""Detect patient identity in free text, which results then do not repeat.

Words and identity are compared as bare letters and digits: without case, accents and separators.
No filter is sure to find a patient in free text, hence no free text is burned into pixels.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import permutations

from pydicom import Dataset

from pipeline.series.attributes import peek_text

NAMES = ("PatientName", "PatientBirthName", "PatientMotherBirthName", "OtherPatientNames")
NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "AdmissionID")
BIRTH_DATE = "PatientBirthDate"

SHORTEST = 3  #: characters; less is an initial, or a number found in any text
SHORTEST_INSIDE = 5  #: characters; less is also part of other words ("Mia" of "Miami")

LETTERS = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})
"""Letters without a decomposition, as passports spell them (ICAO Doc 9303, part 3, section 6)."""
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
"""The other spelling, which the same source allows."""


def identifies(words: str, header: Dataset) -> bool:
    """Tell whether words hold a name, a number or the birth date of the patient.

    A part of the identity of five characters or more is found anywhere, also inside a word and
    across spaces; one of three or four as words of its own; shorter ones are not looked for.

    Parameters
    ----------
    header
        Its elements are left as they were read: once decoded they could not be copied as they are.
    """
    identity = {part for part in _identity(header) if len(part) >= SHORTEST}
    return any(_hold(spelling, identity) for spelling in _spellings(words))


def _hold(words: list[str], identity: set[str]) -> bool:
    joined = "".join(words)
    if any(part in joined for part in identity if len(part) >= SHORTEST_INSIDE):
        return True
    ends = range(1, len(words) + 1)
    runs = {"".join(words[start:end]) for end in ends for start in range(end)}
    return not identity.isdisjoint(runs | set(_digits(words)))


def _identity(header: Dataset) -> Iterator[str]:
    """Names, numbers and birth dates of the patient, as bare letters and digits."""
    for keyword in NAMES:
        for value in re.split(r"[\\=]", peek_text(header, keyword)):
            for parts in _spellings(value):
                yield from (*parts, "".join(parts), *map("".join, permutations(parts, 2)))
    for keyword in NUMBERS:
        for value in peek_text(header, keyword).split("\\"):
            for parts in _spellings(value):
                whole = "".join(parts)
                yield from (*parts, whole, *_digits([*parts, whole]))
    yield from _dates(peek_text(header, BIRTH_DATE))


def _spellings(words: str) -> Iterator[list[str]]:
    """Bare words: lower case, without accents, split at every other character."""
    folded = unicodedata.normalize("NFC", words).casefold()
    for spelled in {folded, folded.translate(UMLAUTS)}:
        taken_apart = unicodedata.normalize("NFKD", spelled.translate(LETTERS))
        bare = "".join(c for c in taken_apart if not unicodedata.combining(c))
        yield re.findall(r"[^\W_]+", bare)


def _digits(words: list[str]) -> Iterator[str]:
    """Numbers in words, without leading zeros."""
    for word in words:
        yield from (number.lstrip("0") for number in re.findall(r"[0-9]+", word))


def _dates(written: str) -> Iterator[str]:
    """Birth date with year, month and day in every usual order, also without the century."""
    found = re.fullmatch(r"(\d{4})\D?(\d\d)\D?(\d\d)", written.strip())
    if found:
        year, month, day = found.groups()
        for years in (year, year[2:]):
            yield from (years + month + day, day + month + years, month + day + years)
