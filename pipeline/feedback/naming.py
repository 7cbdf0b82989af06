"""Tell whether free text names a person: by name, number or birth date, however it is spelt."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

SHORTEST_WORD = 2  #: characters of a part of a name that is looked for as a word of its own
SHORTEST_WITHIN = 4  #: of one that is looked for at the start of words: the text may inflect it
SHORTEST_SPACED = 5  #: of one that is looked for whatever stands between its letters
SHORTEST_EXACT = 3  #: characters of a number that is looked for as it is
SHORTEST_NUMBER = 4  #: digits of a part of a number
YEAR = re.compile(r"(?:18|19|20)[0-9]{2}")  #: at the start of a date, DA or written otherwise
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae"})


def names_person(words: str, names: Iterable[str], numbers: Iterable[str]) -> bool:
    """Say whether text holds a part of a name, a number or the year of a date of birth.

    Letters are compared without case, accents and marks that are not seen, umlauts also in their
    spelling with an e; names of five letters on also where something stands between the letters.
    A text that names nobody may be told to: "tender" holds the name Ender.

    Parameters
    ----------
    names
        Names of the person, such as values of PN.
    numbers
        Identifiers and dates, such as Patient ID and the birth date.
    """
    texts = set(_spellings(words))
    return any(_holds_name(text, set(_parts(names))) for text in texts) or any(
        _holds_number(text, tuple(numbers)) for text in texts
    )


def _holds_name(text: str, parts: set[str]) -> bool:
    held = re.findall(r"\w+", text)
    joined = "".join(held)
    return any(
        part in held
        or (len(part) >= SHORTEST_WITHIN and any(word.startswith(part) for word in held))
        or (len(part) >= SHORTEST_SPACED and part in joined)
        for part in parts
    )


def _holds_number(text: str, numbers: Iterable[str]) -> bool:
    digits = re.sub(r"(?<=[0-9])[\W_]+(?=[0-9])", "", text)
    held = re.findall(r"[0-9]+", digits)
    joined = "".join(re.findall(r"\w+", text))
    for number in numbers:
        exact = number.casefold().strip()
        plain = "".join(re.findall(r"\w+", next(_spellings(number), "")))
        if len(exact) >= SHORTEST_EXACT and exact in text:
            return True
        if len(plain) >= SHORTEST_NUMBER and plain in joined:
            return True
        runs = [run for run in re.findall(r"[0-9]+", plain) if len(run) >= SHORTEST_NUMBER]
        years = YEAR.findall(plain[:4]) if len(plain) == len("YYYYMMDD") else []
        if any(run in one for run in runs for one in held) or any(
            year in one for year in years for one in held
        ):
            return True
    return False


def _parts(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        for text in _spellings(name):
            yield from (word for word in re.findall(r"\w+", text) if len(word) >= SHORTEST_WORD)


def _spellings(text: str) -> Iterator[str]:
    """Yield a text in lower case without accents, and with umlauts spelt out."""
    composed = unicodedata.normalize("NFKC", text).casefold()
    seen = "".join(one for one in composed if unicodedata.category(one) != "Cf")
    for spelling in (seen, seen.translate(UMLAUTS)):
        apart = unicodedata.normalize("NFKD", spelling)
        yield "".join(one for one in apart if not unicodedata.combining(one))
