"""Doubts reach the reader: as a flag, and in words with their figure, in every result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicom_node.cli.process import findings
from pipeline.decision import score_doubts
from pipeline.encode.common.sentences import quality_sentences, ready_sentence
from pipeline.encode.page import blocks
from pipeline.encode.page.canvas import fitted
from pipeline.encode.sr.text_report import text_report
from pipeline.encode.summary import summary
from pipeline.reasons import QualityFlag
from pipeline.types import Analysis, Doubt, PredictionSet, ScoreClass
from tests.support.samples.encode_samples import SeriesSpec, analysis, context, ct_series
from tests.unit.pipeline.encode.sr.test_report import groups, items, numbers, written

DOUBT = Doubt(code="contrast-medium", text="mediastinum 142 HU, 90 or less expected")
BOTH = PredictionSet(coverage=0.9, classes=tuple(ScoreClass))


def doubted(found: PredictionSet | None = BOTH) -> Analysis:
    plain = analysis(flags=(DOUBT.code,))
    return replace(
        plain,
        doubts=(DOUBT,),
        classification=replace(plain.classification, prediction_set=found),
    )


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ((), "not certain: neither fits (90 % coverage)"),
        ((ScoreClass.POSITIVE,), "supports only 'positive' (90 % coverage)"),
        ((ScoreClass.NEGATIVE,), "supports only 'negative' (90 % coverage)"),
        (tuple(ScoreClass), "not certain: both possible (90 % coverage)"),
    ],
)
def test_a_prediction_set_has_words(classes: tuple[ScoreClass, ...], words: str) -> None:
    found = PredictionSet(coverage=0.9, classes=classes)

    assert found.words == words
    certain = replace(doubted(found), flags=(), doubts=())
    assert f"score above threshold; {words}. " in ready_sentence(ct_series(), certain)
    assert f"; {words}: not valid here. " in ready_sentence(ct_series(), doubted(found))


def test_no_coverage_is_promised_for_a_series_unlike_those_of_the_calibration() -> None:
    """The promise is for series like them: a doubt of technique takes it away, one of score not."""
    uncertain = replace(doubted(), flags=(QualityFlag.SCORE_UNCERTAIN,), doubts=())
    for found, holds in ((doubted(), False), (uncertain, True)):
        _, report = written(ct_series(), found)
        said = " ".join(item.TextValue for item in items(report) if item.ValueType == "TEXT")
        assert ("For this series that does not hold" in said) != holds
        assert ("COVERAGE" in numbers(groups(report)[0])) == holds


def test_what_the_score_supports_is_never_cut_on_the_page() -> None:
    below_the_score = blocks.LABEL, 520
    for classes in ((), (ScoreClass.NEGATIVE,), (ScoreClass.POSITIVE,), tuple(ScoreClass)):
        words = PredictionSet(coverage=0.995, classes=classes).words.capitalize()
        assert fitted(words, *below_the_score) == words


def test_a_call_against_what_the_score_supports_is_doubted_in_words() -> None:
    found = analysis(score=0.9).classification
    only = PredictionSet(coverage=0.9, classes=(ScoreClass.NEGATIVE,))
    (doubt,) = score_doubts(replace(found, prediction_set=only))
    assert doubt.text.endswith(
        " calls positive, but the score supports only 'negative' (90 % coverage)"
    )


def test_without_prediction_sets_nothing_is_said_of_them() -> None:
    assert "score above threshold. " in ready_sentence(ct_series(), doubted(None))


def test_the_flag_and_its_figure_are_said() -> None:
    assert quality_sentences(ct_series(), doubted()) == (
        "Contrast medium: mediastinum 142 HU, 90 or less expected.",
    )


def test_both_reports_hold_the_figure() -> None:
    _, measurements = written(ct_series(), doubted())
    text = text_report(ct_series(), doubted(), context())

    for report in (measurements, text):
        said = " ".join(item.TextValue for item in items(report) if item.ValueType == "TEXT")
        assert said.count("Contrast medium: mediastinum 142 HU, 90 or less expected.") == 1
        assert "both possible (90 % coverage): not valid here." in said


def test_the_summary_and_its_lines_hold_them() -> None:
    told = summary(ct_series(SeriesSpec(source_reversed=True)), doubted())

    assert told["flags"] == ["contrast-medium"]
    assert told["doubts"] == [{"code": DOUBT.code, "text": DOUBT.text}]
    assert told["prediction_set"] == {"coverage": 0.9, "classes": ["negative", "positive"]}
    assert told["lesions"][0]["key_slice_from_below"] == 3
    assert told["lesions"][0]["key_image"] == "image 4"  # the source runs from head to feet
    lines = "\n".join(findings(told))
    assert "HU, seen best on image 4" in lines
    assert "contrast-medium: mediastinum 142 HU" in lines
