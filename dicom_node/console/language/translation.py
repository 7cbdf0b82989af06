"""Translate sentences of the console into the language of the request.

The language is that of the context, as for the results (`pipeline.encode.language.translation`),
whose catalogues give what both say, such as the reasons why a series is not analysed. Sentences
are marked with `_` and `ngettext` where they are made, or with `mark` where a table holds them.
Programs (`/api/`), logs and commands are always answered in English.
"""

from __future__ import annotations

import re
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO

from markupsafe import Markup, escape
from starlette.requests import HTTPConnection

from pipeline.encode.language.catalogue import compiled, entries
from pipeline.encode.language.catalogue import translations as translations_of_results
from pipeline.encode.language.languages import Language
from pipeline.encode.language.translation import current_language

COOKIE = "language"  #: a choice, and no secret
NAMES = {
    Language.ENGLISH: "English",
    Language.GERMAN: "Deutsch",
    Language.FRENCH: "Français",
    Language.SPANISH: "Español",
}
WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")  #: RFC 9110 12.4.2
MOST_RANGES = 20  #: of Accept-Language that are looked at


def mark(sentence: str) -> str:
    """Mark a sentence of a table, which is translated where it is shown."""
    return sentence


def _(sentence: str, **values: object) -> str:
    """Translate a sentence, then fill in the values that it names in braces."""
    text = translations(current_language()).gettext(sentence) if sentence else ""
    if any(isinstance(value, Markup) for value in values.values()):
        text = escape(text)  # what is filled in is escaped by it, but for what is marked up
    return text.format(**values) if values else text


def ngettext(singular: str, plural: str, n: int, **values: object) -> str:
    """Translate a sentence about a number `n` of things, and fill in that and other values."""
    chosen = translations(current_language()).ngettext(singular, plural, n)
    return chosen.format(n=n, **values)


@cache
def translations(language: Language) -> NullTranslations:
    """Return the translations into a language; those into English leave all as it is."""
    if language is Language.ENGLISH:
        return NullTranslations()
    made = GNUTranslations(BytesIO(compiled(entries(catalogue(language)))))
    made.add_fallback(translations_of_results(language))
    return made


def catalogue(language: Language) -> str:
    """Text of the catalogue of a language."""
    return (files(__package__) / "catalogues" / f"{language}.po").read_text("utf-8")


def language_of(request: HTTPConnection) -> Language:
    """Choose the language of a request: the one chosen here before, else as its browser asks."""
    chosen = request.cookies.get(COOKIE, "")
    if chosen in set(Language):
        return Language(chosen)
    return accepted(request.headers.get("accept-language", ""))


def accepted(header: str) -> Language:
    """Choose the language that an Accept-Language header likes best (RFC 9110 12.5.4)."""
    best, found = 0.0, Language.ENGLISH
    for text in header.split(",")[:MOST_RANGES]:
        tag, *parameters = (part.strip() for part in text.split(";"))
        name = tag.partition("-")[0].lower()
        weight = _weight(parameters)
        if name in set(Language) and weight > best:
            best, found = weight, Language(name)
    return found


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, value = (parameter.partition("=")[part] for part in (0, 2))
        if name.strip().lower() == "q":
            return float(value) if WEIGHT.fullmatch(value.strip()) else 0.0
    return 1.0
