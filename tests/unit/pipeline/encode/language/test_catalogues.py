"""Catalogues of translations: complete, alike in what they fill in, and drawable."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from pydicom.sr.coding import Code

from pipeline.encode.common import sentences
from pipeline.encode.common.typeface import draws
from pipeline.encode.language.catalogue import MO_SEPARATOR, catalogue, entries, letters
from pipeline.encode.language.languages import Language
from pipeline.encode.language.measured import SENTENCES, TEMPLATES
from pipeline.encode.page import layout, sop_instances
from pipeline.encode.result import codes
from pipeline.encode.sr import notice
from pipeline.reasons import QualityFlag
from tests.support.paths import ROOT

OTHERS = [language for language in Language if language is not Language.ENGLISH]
LONGEST_MEANING = 64  #: characters of LO, the representation of Code Meaning (PS3.5 6.2)
LIBRARY_MEANINGS = {  # highdicom's own, in every report
    "Algorithm Family",
    "Algorithm Manufacturer",
    "Algorithm Name",
    "Algorithm Parameters",
    "Algorithm Version",
    "Derivation",
    "Device Observer Manufacturer",
    "Device Observer Model Name",
    "Device Observer Name",
    "Device Observer Serial Number",
    "Device Observer UID",
    "Finding",
    "Finding Site",
    "Image Region",
    "Imaging Measurements",
    "Language of Content Item and Descendants",
    "Laterality",
    "Measurement Group",
    "Observer Type",
    "Processing Equipment",
    "Quantity",
    "Referenced Segment",
    "Source Series for Segmentation",
    "Tracking Identifier",
    "Tracking Unique Identifier",
}


def marked() -> set[str]:
    """Sentences that the code marks, singular and plural as one."""
    found = set()
    for path in (ROOT / "pipeline" / "encode").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if named and node.func.id in {"_", "ngettext"}:
                words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                found.add(MO_SEPARATOR.join(word for word in words if isinstance(word, str)))
    return found - {""}


def constants(module: object) -> set[str]:
    return {
        value
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and " " in value
    }


def meanings() -> set[str]:
    found: set[str] = set()
    for value in vars(codes).values():
        members = value.values() if isinstance(value, dict) else value
        several = isinstance(value, dict | tuple) and not isinstance(value, Code)
        for code in members if several else [value]:
            if isinstance(code, Code) and code.scheme_designator != "RFC5646":
                found.add(code.meaning)
    return found - {"{-1:1}"} | LIBRARY_MEANINGS


def needed() -> set[str]:
    return (
        marked()
        | constants(sentences)
        | {layout.TITLE, layout.LIMITS, sop_instances.TITLE}
        | {*SENTENCES, *TEMPLATES}
        | {flag.replace("-", " ") for flag in QualityFlag}
        | set(notice.SENTENCES.values())
        | meanings()
    )


@cache
def translated(language: Language) -> dict[str, str]:
    return {key: text for key, text in entries(catalogue(language)) if key}


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_has_a_translation_and_none_is_left_over(language: Language) -> None:
    assert needed() - translated(language).keys() == set()
    assert translated(language).keys() - needed() == set()


@pytest.mark.parametrize("language", OTHERS)
def test_translations_fill_in_what_the_sentences_do(language: Language) -> None:
    for sentence, text in translated(language).items():
        forms = sentence.split(MO_SEPARATOR)
        assert len(text.split(MO_SEPARATOR)) == len(forms)
        for form in text.split(MO_SEPARATOR):
            assert placeholders(form) == placeholders(forms[0]), form
            assert (form.strip("\u00a0")[0] in " ,;") == (sentence[0] in " ,;")
            assert form.endswith(".") == forms[0].endswith("."), form


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"{\w*}", text))


@pytest.mark.parametrize("language", OTHERS)
def test_letters_are_in_latin_1_and_in_the_typeface(language: Language) -> None:
    assert letters(language)
    assert set(letters(language)) - encodable(letters(language)) <= {"œ"}
    assert draws(letters(language))


def encodable(text: str) -> set[str]:
    """Letters of Latin alphabet No. 1."""
    return set(text.encode("latin-1", "ignore").decode("latin-1"))


@pytest.mark.parametrize("language", OTHERS)
def test_meanings_fit_their_representation(language: Language) -> None:
    long = [text for key, text in translated(language).items() if key in meanings()]
    assert [text for text in long if len(text) > LONGEST_MEANING] == []


def test_a_sentence_without_a_translation_would_be_noticed() -> None:
    assert "score above threshold" in needed()
    assert "This sentence is in no catalogue." not in translated(Language.GERMAN)
    assert entries('msgid "a"\nmsgstr ""\n') == []


def test_french_marks_have_one_space_that_does_not_break() -> None:
    for text in translated(Language.FRENCH).values():
        assert not re.search(r"[^\u00a0;][:;%](?=\s|$)", text.lstrip("; ")), text
        assert not re.search(r"\s\s", text), text
