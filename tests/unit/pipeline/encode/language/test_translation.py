"""Sentences in the language of the context, and results that are written in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from pipeline.encode.bundle import encode, part10
from pipeline.encode.common import sentences
from pipeline.encode.common.modules import writing_for
from pipeline.encode.language.catalogue import catalogue, entries
from pipeline.encode.language.languages import DECIMAL_MARKS, Language
from pipeline.encode.language.measured import NUMBERS, PLACEHOLDER, SENTENCES, TEMPLATES, measured
from pipeline.encode.language.translation import _, current_language, ngettext, writing_in
from pipeline.encode.result import codes
from pipeline.encode.result.codes import DIRECTION_COSINE
from pipeline.encode.result.identity import Rejection
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.products import HeatmapForm, Products
from pipeline.encode.sr.notice import not_analysed
from pipeline.encode.sr.rejection_note import rejection_note
from pipeline.encode.sr.text_report import text_report
from pipeline.lungs import gates as lung_gates
from pipeline.scan_quality import gates as scan_gates
from pipeline.types import CtSeries, Doubt, PredictionSet, ScoreClass
from tests.support.samples.encode_samples import analysis, context, ct_series, prior

OTHERS = [language for language in Language if language is not Language.ENGLISH]


def test_the_language_is_that_of_the_context_and_english_outside() -> None:
    with writing_in(Language.GERMAN):
        assert _("score above threshold") == "Score über der Schwelle"
        with writing_in(Language.FRENCH, lacking="é"):
            assert _("score above threshold") == "score superieur au seuil"
        assert current_language() is Language.GERMAN
    assert _("score above threshold") == "score above threshold"


@pytest.mark.parametrize(
    ("language", "none", "one"),
    [
        (Language.GERMAN, "0 weitere Verdichtungen", "1 weitere Verdichtung"),
        (Language.FRENCH, "0 autre opacité", "1 autre opacité"),
    ],
)
def test_numbers_have_the_mark_and_the_plural_of_the_language(
    language: Language, none: str, one: str
) -> None:
    with writing_in(language):
        assert sentences.percent(0.044) == "4,4 %"
        assert sentences.number(-0.001, 1) == "0,0"
        said = [ngettext("{n} further opacity", "{n} further opacities", n) for n in (0, 1)]
    assert said == [none, one]


def value_for(name: str) -> str:
    return "1.5" if name in NUMBERS else "XYZ"


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("template", [*SENTENCES, *TEMPLATES])
def test_what_the_analysis_says_is_known_by_its_template(template: str, language: Language) -> None:
    names = PLACEHOLDER.findall(template.replace("{", r"\{").replace("}", r"\}"))
    said = template.format(**{name: value_for(name) for name in names})
    mark = DECIMAL_MARKS[language]
    with writing_in(language):
        expected = _(template, **{name: value_for(name).replace(".", mark) for name in names})
        assert measured(said) == expected


def test_every_figure_of_the_gates_is_translated() -> None:
    said = [scan_gates.sentence(gate, 7.25, gate.expected) for gate in scan_gates.GATES]
    said += [f"7.25 {gate.unit}, expected 1 to 2" for gate in lung_gates.GATES]
    said += [f"right lung: 7.25 {gate.unit}, expected 1 to 2" for gate in lung_gates.GATES_OF_EACH]
    said += [f"not measurable: {', '.join(gate.words for gate in scan_gates.GATES)}"]
    with writing_in(Language.GERMAN):
        german = [measured(text) for text in said]
    english = ("expected", "distance", "noise", "tissue", "lung on", "slices", "area", " mask")
    assert [text for text in german if any(word in text for word in english)] == []


def test_a_sentence_without_a_template_stays_english() -> None:
    with writing_in(Language.SPANISH):
        assert measured("a figure of another version: 7") == "a figure of another version: 7"


NOISE = Doubt(code="unusual-noise", text="noise in soft tissue 62.1 HU, 2 to 50 expected")
STATEMENT = "6 slices, 2.50 mm apart, no gap; the scanner did not announce how many."


@cache
def written(language: Language) -> dict[ResultKind, Dataset]:
    products = Products(language=language, heatmap=HeatmapForm.NONE, summary=False, key_images=True)
    found = analysis()
    unsure = PredictionSet(coverage=0.9, classes=tuple(ScoreClass))
    called = replace(found.classification, prediction_set=unsure)
    found = replace(found, classification=called, doubts=(NOISE,))
    series = ct_series()
    series = replace(series, geometry=replace(series.geometry, statement=STATEMENT))
    made = context(products=products, priors=(prior(),), generation=2)
    bundle = encode(series, found, made)
    return {item.kind: dcmread(BytesIO(part10(item.dataset))) for item in bundle.objects}


def texts(item: Dataset) -> list[str]:
    own = [str(item.TextValue)] if "TextValue" in item else []
    return own + [text for child in item.get("ContentSequence", []) for text in texts(child)]


def content(result: Dataset) -> Dataset:
    part = Dataset()
    part.ConceptNameCodeSequence = result.ConceptNameCodeSequence
    part.ContentSequence = result.ContentSequence
    return part


def meanings(item: Dataset) -> set[str]:
    found = {str(item.CodeMeaning)} if "CodeMeaning" in item else set()
    for element in item:
        if element.VR == "SQ":
            for nested in element.value:
                found |= meanings(nested)
    return found


DATA = (
    "Chest CT node",
    "Example Maker",
    "SN-0001",
    "0.1.0",
    "=",
    "AI ",
    "screening",
    "unsup",
    " HU",
)
"""Marks of what is no sentence: names of the device, parameters, identifiers."""


@pytest.mark.parametrize("language", OTHERS)
def test_no_sentence_of_a_result_stays_english(language: Language) -> None:
    english, other = written(Language.ENGLISH), written(language)
    for kind in (ResultKind.REPORT, ResultKind.TEXT_REPORT, ResultKind.KEY_IMAGES):
        pairs = zip(texts(english[kind]), texts(other[kind]), strict=True)
        same = [ours for ours, theirs in pairs if ours == theirs]
        assert [text for text in same if not any(mark in text for mark in DATA)] == []
        kept = [meanings(content(results[kind])) for results in (english, other)]
        assert {meaning for meaning in kept[0] & kept[1] if " " in meaning} == set()
    assert all("AI on series 3" in dataset.SeriesDescription for dataset in other.values())


@pytest.mark.parametrize("language", OTHERS)
def test_a_notice_says_its_reason_in_the_language(language: Language) -> None:
    products = Products(language=language)
    made = not_analysed(
        ct_series().headers, "too-few-slices", "20 expected, got 3", context(products=products)
    )
    said = " ".join(texts(made))
    assert "too-few-slices" in said
    for word in ("expected", "analysed", "Reason", "slices for"):
        assert word not in said


def test_the_language_of_the_content_is_named() -> None:
    named = [
        item.ConceptCodeSequence[0].CodeValue
        for item in written(Language.GERMAN)[ResultKind.REPORT].ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "121049"
    ]
    assert named == ["de"]


def german(series: CtSeries) -> Dataset:
    header, made = series.common.header, context(products=Products(language=Language.GERMAN))
    with writing_for(header, Language.GERMAN):
        return dcmread(BytesIO(part10(text_report(series, analysis(), made))))


@pytest.mark.parametrize(
    ("source", "declared", "phrase"),
    [
        ("ISO_IR 100", "ISO_IR 100", "Score über der Schwelle"),
        ("ISO_IR 192", "ISO_IR 192", "Score über der Schwelle"),
        (None, "ISO_IR 100", "Score über der Schwelle"),
        ("ISO_IR 144", "ISO_IR 144", "Score ueber der Schwelle"),
    ],
)
def test_letters_are_written_in_the_character_set_of_the_source(
    source: str | None, declared: str, phrase: str
) -> None:
    result = german(ct_series(SpecificCharacterSet=source))
    assert result.SpecificCharacterSet == declared
    assert any(phrase in text for text in texts(result))
    assert result.PatientName == "Muster^Mia"


def test_a_name_in_no_declared_character_set_is_not_given_one() -> None:
    series = ct_series(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    for header in (*series.headers, series.common.header):
        del header["SpecificCharacterSet"]
    result = german(series)
    assert "SpecificCharacterSet" not in result
    assert result.get_item("PatientName").value.strip() == "Müller^Jörg".encode("latin-1")
    assert any("Score ueber der Schwelle" in text for text in texts(result))


COPIED = ("PatientSpeciesCodeSequence", "RequestAttributesSequence", "ProcedureCodeSequence")


@cache
def all_kinds(language: Language) -> tuple[Dataset, ...]:
    """Every kind of object, the notes included."""
    products = Products(
        language=language,
        summary_pdf=True,
        parametric_map=True,
        key_images=True,
        heatmap_columns=64,
    )
    made = context(products=products, priors=(prior(),), generation=2)
    bundle = encode(ct_series(), analysis(), made)
    rejected = Rejection(destination="PACS", objects=(prior().report,))
    note = rejection_note(ct_series().common.header, rejected, made)
    return (*(item.dataset for item in bundle.objects), note)


@pytest.mark.parametrize("language", OTHERS)
def test_every_meaning_and_description_of_every_object_is_in_the_language(
    language: Language,
) -> None:
    known = {text for key, text in entries(catalogue(language)) if key}
    known |= {DIRECTION_COSINE.meaning, content_language_of(language)}
    for english, result in zip(all_kinds(Language.ENGLISH), all_kinds(language), strict=True):
        for keyword in COPIED:
            result.pop(keyword, None)
        assert meanings(result) - known == set(), result.Modality
        for keyword in ("DerivationDescription", "ContentDescription"):
            assert (keyword in result) == (keyword in english)
            assert keyword not in result or result[keyword] != english[keyword]
        labels = [one.SegmentLabel for one in english.get("SegmentSequence", ())]
        translated = [one.SegmentLabel for one in result.get("SegmentSequence", ())]
        assert all(map(str.__ne__, labels, translated))
        assert [one.TrackingID for one in english.get("SegmentSequence", ())] == [
            one.TrackingID for one in result.get("SegmentSequence", ())
        ]


def content_language_of(language: Language) -> str:
    return codes.language(language).meaning


@pytest.mark.parametrize(
    ("language", "day"),
    [
        (Language.ENGLISH, "2026-03-04"),
        (Language.GERMAN, "04.03.2026"),
        (Language.FRENCH, "04/03/2026"),
        (Language.SPANISH, "04/03/2026"),
    ],
)
def test_dates_have_the_form_of_the_language(language: Language, day: str) -> None:
    earlier = replace(prior(), study_date=date(2026, 3, 4))
    with writing_in(language):
        (said,) = sentences.prior_sentences(analysis(), (earlier,))
    assert day in said


def test_french_colons_stand_apart_and_ligatures_are_spelled_where_they_have_to_be() -> None:
    latin, utf8 = Dataset(), Dataset()
    latin.SpecificCharacterSet, utf8.SpecificCharacterSet = "ISO_IR 100", "ISO_IR 192"
    with writing_for(utf8, Language.FRENCH):
        assert sentences.named("a", "b") == "a\u00a0: b"
        assert "cœur" in _(sentences.NOT_ASSESSED)
    with writing_for(latin, Language.FRENCH):
        said = _(sentences.NOT_ASSESSED)
    assert "coeur" in said
    assert "évalués" in said
