"""Translate sentences into the language in which a result is written.

The language is that of the context, as gettext is used everywhere: whoever encodes a result opens
it with `writing_in`, and sentences are marked with `_` and `ngettext` where they are made.
Outside of it everything is English.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date

from pipeline.encode.language.catalogue import translations
from pipeline.encode.language.languages import DATES, DECIMAL_MARKS, Language

UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "œ": "oe"}
    | {"«": '"', "»": '"'}
)
"""Spellings of letters that are not those of their base letter (ICAO Doc 9303, part 3)."""


@dataclass(frozen=True, slots=True)
class _Writing:
    """Language, and the letters of it that are spelled in ASCII."""

    language: Language
    lacking: frozenset[str] = frozenset()


ENGLISH = _Writing(Language.ENGLISH)
_writing: ContextVar[_Writing] = ContextVar("_writing")


@contextmanager
def writing_in(language: Language, *, lacking: Iterable[str] = ()) -> Iterator[None]:
    """Write sentences in a language within the context.

    Parameters
    ----------
    lacking
        Letters that the Specific Character Set of the objects lacks: they are spelled in ASCII.
    """
    token = _writing.set(_Writing(language, frozenset(lacking)))
    try:
        yield
    finally:
        _writing.reset(token)


def current_language() -> Language:
    """Return the language in which sentences are written now."""
    return _writing.get(ENGLISH).language


def _(sentence: str, **values: object) -> str:
    """Translate a sentence, then fill in the values that it names in braces."""
    now = _writing.get(ENGLISH)
    return _written(translations(now.language).gettext(sentence), now, values)


def ngettext(singular: str, plural: str, n: int, **values: object) -> str:
    """Translate a sentence about a number `n` of things, and fill in that and other values."""
    now = _writing.get(ENGLISH)
    chosen = translations(now.language).ngettext(singular, plural, n)
    return _written(chosen, now, {"n": n, **values})


def number(value: float, digits: int) -> str:
    """Write a number with so many decimals, and the decimal mark of the language.

    Never a negative zero.
    """
    return with_decimal_mark(f"{round(value, digits) + 0.0:.{digits}f}")


def day(value: date) -> str:
    """Write a date in the form of the language."""
    return value.strftime(DATES[current_language()])


def with_decimal_mark(figure: str) -> str:
    """Put the decimal mark of the language into a number as Python writes it."""
    return figure.replace(".", DECIMAL_MARKS[current_language()])


def in_ascii(text: str) -> str:
    """Spell text in ASCII; question marks stand for characters without a spelling in it."""
    spelled = text.translate(UMLAUTS).replace("\u00b5", "u")
    bare = unicodedata.normalize("NFKD", spelled)
    kept = "".join(letter for letter in bare if not unicodedata.combining(letter))
    return kept.encode("ascii", "replace").decode("ascii")


def _written(text: str, now: _Writing, values: dict[str, object]) -> str:
    spelled = "".join(in_ascii(letter) if letter in now.lacking else letter for letter in text)
    return spelled.format(**values) if values else spelled
