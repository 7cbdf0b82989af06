"""Report texts are read by rules: sentences in three languages, made up for it."""

from __future__ import annotations

import sys
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.feedback.diagnosis import Diagnosis
from pipeline.feedback.report_text.answers import ReportReading, Said
from pipeline.feedback.report_text.read import read_report
from tests.support.samples.reports.hard_sentences import HARD
from tests.support.samples.reports.sentences import ENGLISH, FRENCH, GERMAN, samples

LEAST = 40  #: sentences of a language


@pytest.mark.parametrize("text", [ENGLISH, GERMAN, FRENCH], ids=["English", "German", "French"])
def test_every_sentence_is_read_as_it_is_meant(text: str) -> None:
    sentences = samples(text)
    wrong = [
        (words, read_report(words))
        for words, pneumonia, covid in sentences
        if read_report(words) != ReportReading(pneumonia=Said(pneumonia), covid_19=Said(covid))
    ]

    assert wrong == []
    assert len(sentences) >= LEAST


@pytest.mark.parametrize("kind", HARD)
def test_no_sentence_is_read_as_its_opposite(kind: str) -> None:
    """What is not surely understood is uncertain, or nothing."""
    opposite = [
        (words, read, meant)
        for words, *answers in samples(HARD[kind])
        for read, meant in zip(_read(words), answers, strict=True)
        if read not in {meant, Said.UNCERTAIN, Said.NOTHING}
    ]

    assert opposite == []


def _read(words: str) -> tuple[Said, Said]:
    reading = read_report(words)
    return reading.pneumonia, reading.covid_19


def _calls(text: str) -> int:
    """Count the calls that it takes to read a text."""
    calls = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        read_report(text)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("words", ["no pneumonia ", "no pneumonia, " * 25 + ". ", "pneumonia or "])
def test_a_text_twice_as_long_is_read_in_twice_the_steps(words: str) -> None:
    few = 4_000 // len(words)

    assert _calls(words * few * 2) < 2.2 * _calls(words * few)


def test_of_a_sentence_without_end_all_is_uncertain() -> None:
    assert read_report("no pneumonia " * 15_000).pneumonia is Said.UNCERTAIN


@pytest.mark.parametrize("words", ["Pneumonie.", "PNEUMONIE", "Pneumonia", "Pneumopathie"])
def test_a_text_of_no_known_language_is_read_by_all_of_them(words: str) -> None:
    assert read_report(words).pneumonia is Said.POSITIVE


def test_a_conclusion_goes_before_the_findings() -> None:
    text = (
        "Befund: V.a. Pneumonie rechts.\nBeurteilung: Pneumonie rechts, COVID-19 unwahrscheinlich."
    )

    assert read_report(text) == ReportReading(pneumonia=Said.POSITIVE, covid_19=Said.NEGATIVE)


def test_findings_count_where_the_conclusion_says_nothing() -> None:
    text = "FINDINGS: No infiltrates. IMPRESSION: Normal chest CT."

    assert read_report(text).pneumonia is Said.NEGATIVE


def test_questions_history_technique_and_comparison_are_not_read() -> None:
    text = (
        "Clinical information: pneumonia, COVID-19 positive.\nTechnique: CT, pneumonia protocol.\n"
        "Comparison: pneumonia of last year.\nFindings: Normal lungs."
    )

    assert read_report(text) == ReportReading(pneumonia=Said.NOTHING, covid_19=Said.NOTHING)


def test_accents_umlauts_and_apostrophes_may_be_written_in_any_way() -> None:
    for text in ("Pas d’argument pour une pneumopathie", "Pas d'argument pour une pneumopathie"):
        assert read_report(text).pneumonia is Said.NEGATIVE
    for text in ("Lungenentzündung", "Lungenentzuendung", "Lungenentzu\u0308ndung"):
        assert read_report(text).pneumonia is Said.POSITIVE


@pytest.mark.parametrize(
    ("pneumonia", "covid", "diagnosis"),
    [
        (Said.NOTHING, Said.POSITIVE, Diagnosis.POSITIVE),
        (Said.POSITIVE, Said.NEGATIVE, Diagnosis.NEGATIVE),
        (Said.NEGATIVE, Said.UNCERTAIN, Diagnosis.UNCLEAR),
        (Said.NEGATIVE, Said.NOTHING, Diagnosis.NEGATIVE),
        (Said.POSITIVE, Said.NOTHING, Diagnosis.UNCLEAR),
        (Said.UNCERTAIN, Said.NOTHING, Diagnosis.UNCLEAR),
        (Said.NOTHING, Said.NOTHING, None),
    ],
)
def test_no_pneumonia_means_no_covid_and_a_pneumonia_may_be_any(
    pneumonia: Said, covid: Said, diagnosis: Diagnosis | None
) -> None:
    assert ReportReading(pneumonia=pneumonia, covid_19=covid).diagnosis is diagnosis


WORDS = st.sampled_from(
    ["no", "not", "kein", "pas", "sans", "covid", "19", "pneumonia", "V.a.", "DD", *",.:?\n-"]
)


@settings(max_examples=60)
@given(st.one_of(st.text(), st.lists(WORDS).map(" ".join)))
def test_any_text_is_read(text: str) -> None:
    assert isinstance(read_report(text), ReportReading)
