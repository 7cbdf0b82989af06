"""Read the catalogues of translations: gettext's PO files, beside this module.

A sentence of the code is the key (``msgid``), as in every program that uses gettext, so that any
editor of PO files serves. They are read as they are; nothing has to be compiled after a change.
Source: GNU gettext manual, 3.4 "The Format of PO Files" and 11.3 "The Format of GNU MO Files".
"""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterator
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO

from pipeline.encode.language.languages import Language

MO_MAGIC = 0x950412DE
MO_HEADER_BYTES = 28
MO_SEPARATOR = "\0"  #: between singular and plural, and between the plural forms
LINE = re.compile(r'(?:(msgid_plural|msgid|msgstr)(?:\[\d+\])? )?(".*")')

FRENCH = r'"Language: fr\n"'  #: line of the header of a catalogue

Entry = tuple[str, str]
"""Sentence and translation; plural forms separated as in MO files."""


@cache
def translations(language: Language) -> NullTranslations:
    """Return the translations into a language; those into English leave all as it is."""
    if language is Language.ENGLISH:
        return NullTranslations()
    return GNUTranslations(BytesIO(compiled(entries(catalogue(language)))))


def catalogue(language: Language) -> str:
    """Text of the catalogue of a language."""
    return (files(__package__) / "catalogues" / f"{language}.po").read_text("utf-8")


@cache
def letters(language: Language) -> str:
    """Characters beyond ASCII that the sentences of a language have."""
    if language is Language.ENGLISH:
        return ""
    translated = "".join(text for _, text in entries(catalogue(language)))
    return "".join(sorted({letter for letter in translated if not letter.isascii()}))


def entries(po: str) -> list[Entry]:
    """Entries of a PO file, the header (of the empty key) included; those without text left out."""
    found = [entry for block in re.split(r"\n\s*\n", po) for entry in _entry(block)]
    return [(key, _set_apart(text)) for key, text in found] if FRENCH in po else found


def _set_apart(text: str) -> str:
    """Let no line break before a mark that French sets apart by a space, nor behind a quote."""
    return re.sub(r" (?=[:;!?%»](?:\W|$))|(?<=«) ", "\u00a0", text)


def _entry(block: str) -> Iterator[Entry]:
    parts: dict[str, list[str]] = {"msgid": [], "msgid_plural": [], "msgstr": []}
    name = ""
    for line in block.splitlines():
        found = LINE.fullmatch(line.strip())
        if found is None:
            continue
        if found[1]:
            name = found[1]
            parts[name].append("")
        parts[name][-1] += ast.literal_eval(found[2])
    if parts["msgid"] and all(parts["msgstr"]):
        key = MO_SEPARATOR.join([*parts["msgid"], *parts["msgid_plural"]])
        yield key, MO_SEPARATOR.join(parts["msgstr"])


def compiled(found: list[Entry]) -> bytes:
    """Entries as a MO file, which the standard library reads."""
    encoded = sorted((key.encode(), text.encode()) for key, text in found)
    table_bytes = 8 * len(encoded)
    start = MO_HEADER_BYTES + 2 * table_bytes
    tables, texts = [b"", b""], b""
    for column in (0, 1):
        for entry in encoded:
            tables[column] += struct.pack("<II", len(entry[column]), start + len(texts))
            texts += entry[column] + b"\0"
    header = struct.pack(
        "<7I", MO_MAGIC, 0, len(encoded), MO_HEADER_BYTES, MO_HEADER_BYTES + table_bytes, 0, 0
    )
    return header + b"".join(tables) + texts
