"""Languages of the console: complete catalogues, and pages in the language that is asked for."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from jinja2 import nodes

from dicom_node.console.access.people import Role
from dicom_node.console.context import TEMPLATES, environment
from dicom_node.console.language.translation import accepted, catalogue
from pipeline.encode.language.catalogue import MO_SEPARATOR, entries
from pipeline.encode.language.catalogue import catalogue as catalogue_of_results
from pipeline.encode.language.languages import Language
from pipeline.reasons import ClosedBy, FailedReason, UnsuitableReason
from storage.states import DeliveryState, SeriesState
from tests.support.console.console_under_test import ConsoleUnderTest, form_token
from tests.support.paths import ROOT

CONSOLE = ROOT / "dicom_node" / "console"
MARKS = {"_", "ngettext", "mark"}
OTHERS = [language for language in Language if language is not Language.ENGLISH]
WORDS = {"right", "left"}  #: of summaries
ACTIONS = {"answer", "export", "export cases", "reissue", "reprocess", "send again", "setting"}
ACTIONS |= {"login", "logout", "password", "end session", "add user", "change user", "echo"}
ACTIONS |= {"probe", "pause", "resume", "import diagnoses", "add token", "revoke token"}
"""That pages list as done."""
UNTRANSLATED = {"chest", "node", "Chest", "CT", "CSV", "ROC", "AUC", "GB", "ml", "mm", "Enter"}
UNTRANSLATED |= {"HL", "FHIR"}


def of_python() -> Iterator[str]:
    """Yield the sentences that code marks, and those of the refusals that an error page shows."""
    for path in CONSOLE.rglob("*.py"):
        if "api" in path.relative_to(CONSOLE).parts:  # programs are answered in English
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                words = [text for text in texts if isinstance(text, str)]
                if words and (node.func.id in MARKS or node.func.id == "HTTPException"):
                    yield MO_SEPARATOR.join(words)


def of_templates() -> Iterator[str]:
    """Yield the sentences that templates mark, and the words of the tables that they go through."""
    for path in TEMPLATES.glob("*.html"):
        tree = environment().parse(path.read_text())
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name in MARKS:
                found = [arg.value for arg in call.args if isinstance(arg, nodes.Const)]
                if found:
                    yield MO_SEPARATOR.join(found)
        for table in tree.find_all(nodes.For):
            for value in table.iter.find_all(nodes.Const):
                if isinstance(value.value, str) and value.value.istitle():
                    yield value.value


@cache
def needed() -> frozenset[str]:
    states = {str(state) for state in (*SeriesState, *DeliveryState)}
    reasons = {
        code.sentence for codes in (UnsuitableReason, FailedReason, ClosedBy) for code in codes
    }
    tables = states | reasons | {str(role) for role in Role} | WORDS | ACTIONS
    return frozenset({*of_python(), *of_templates()} | tables)


def known(language: Language) -> dict[str, str]:
    return {key: text for key, text in entries(catalogue(language)) if key}


@pytest.mark.parametrize("language", OTHERS)
def test_no_sentence_is_translated_twice(language: Language) -> None:
    times = Counter(key for key, _ in entries(catalogue(language)))
    assert [key for key, count in times.items() if count > 1] == []


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_has_a_translation_and_none_is_left_over(language: Language) -> None:
    ours = known(language)
    of_results = {key for key, _ in entries(catalogue_of_results(language))}
    assert needed() - ours.keys() - of_results == set()
    assert ours.keys() - needed() == set()


@pytest.mark.parametrize("language", OTHERS)
def test_translations_fill_in_what_the_sentences_do(language: Language) -> None:
    for sentence, text in known(language).items():
        forms = sentence.split(MO_SEPARATOR)
        assert len(text.split(MO_SEPARATOR)) == len(forms)
        for form in text.split(MO_SEPARATOR):
            assert placeholders(form) == placeholders(forms[-1]), form
            assert form[-1:] in ".?" or forms[0][-1] not in ".?", form


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"{\w*}", text))


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.stem)
def test_templates_hold_no_words_of_one_language(path: Path) -> None:
    bare = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", path.read_text(), flags=re.DOTALL)
    text = re.sub(r"<[^>]*>", " ", bare)
    spoken = re.findall(r'(?:aria-label|placeholder|title|alt)="([^"]*)"', bare)
    words = re.findall(r"[A-Za-z]{2,}", " ".join([text, *spoken]))
    assert set(words) - UNTRANSLATED == set()


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-CH,de;q=0.9,en;q=0.8", "de"),
        ("nl, fr;q=0.5, es;q=0.7", "es"),
        ("en;q=0.1, fr;q=0.2", "fr"),
        ("de;q=0, *", "en"),
        ("de;q=x", "en"),
        ("de;q=nan", "en"),
        ("," * 99_999, "en"),
    ],
)
def test_the_language_is_the_one_that_a_browser_likes_best(header: str, language: str) -> None:
    assert accepted(header) == language


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    yield made
    made.resources.close()


def test_pages_are_in_the_language_asked_for_or_chosen(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    console.end("1.2.4", SeriesState.UNSUITABLE, "too-few-slices")
    browser = console.logged_in(Role.ADMIN)
    browser.headers["Accept-Language"] = "de-DE,de;q=0.9"
    page = browser.get("/series/1.2.3").text
    assert '<html lang="de">' in page
    assert "1 Bild empfangen" in page
    assert "Stimmen Sie dem Klassifikator zu?" in page
    assert "Nicht analysiert" in browser.get("/").text
    assert "diese Serie gibt es nicht" in browser.get("/series/1.2.9").text
    assert "Not analysed" in browser.get("/worklist.csv").text  # for programs
    chosen = {"form_token": form_token(browser), "language": "fr"}
    assert browser.post("/account/language", data=chosen).status_code == 303
    assert '<html lang="fr">' in browser.get("/series/1.2.3").text
    browser.post("/account/language", data=chosen | {"language": "xx"})
    assert '<html lang="de">' in browser.get("/").text


def test_what_was_done_is_told_in_the_language_of_the_page(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.ADMIN)
    browser.headers["Accept-Language"] = "de"
    assert "<td>Anmeldung</td>" in browser.get("/people").text


@pytest.mark.parametrize("language", OTHERS)
def test_every_page_is_made_in_every_language(console: ConsoleUnderTest, language: str) -> None:
    console.analyse("1.2.3")
    browser = console.logged_in(Role.ADMIN)
    browser.headers["Accept-Language"] = language
    pages = ("/", "/series/1.2.3", "/destinations", "/senders", "/queue", "/thresholds")
    pages += ("/performance", "/model", "/system", "/people", "/account", "/why?study=1.2.8")
    for page in pages:
        answer = browser.get(page)
        assert answer.status_code == 200
        assert f'<html lang="{language}">' in answer.text
