"""Whose bounds decide is said in every result, the same everywhere, with the reason."""

from dataclasses import replace

import pytest

from dicom_node.cli.process import findings
from pipeline.encode.bundle import encode
from pipeline.encode.common.scanner_bounds import scanner_words
from pipeline.encode.language.languages import Language
from pipeline.encode.language.translation import writing_in
from pipeline.encode.page.layout import draw_page
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.products import Products
from pipeline.encode.summary import summary
from pipeline.types import Analysis, ScannerBounds
from tests.support.recorded_page import RecordingCanvas
from tests.support.samples.encode_samples import analysis, context, ct_series

OWN = ScannerBounds(group="Nord-Süd", own=True, negatives=40, positives=30)
SENTENCES = {
    OWN: (
        "Bounds of the scanner group Nord-Sued, chosen on 40 negative and 30 positive cases of it."
    ),
    ScannerBounds(group="south", negatives=3, positives=12): (
        "Bounds of all scanners: of the scanner group south there were too few cases for its own"
        " (3 negative, 12 positive)."
    ),
    ScannerBounds(): "Bounds of all scanners: that of the series is in no group of the model.",
}


def called(found: ScannerBounds | None) -> Analysis:
    sample = analysis()
    return replace(sample, classification=replace(sample.classification, scanner_bounds=found))


@pytest.mark.parametrize("found", SENTENCES)
def test_it_is_one_sentence_with_the_reason(found: ScannerBounds) -> None:
    assert scanner_words(found) == SENTENCES[found]
    said = summary(ct_series(), called(found))["scanner_bounds"]
    assert said["sentence"] == SENTENCES[found]
    assert (said["group"], said["own"]) == (found.group, found.own)
    assert SENTENCES[found] in list(findings(summary(ct_series(), called(found))))


def test_reports_and_page_say_it() -> None:
    whole = context(products=Products(text_report=True))
    made = encode(ct_series(), called(OWN), whole)
    for kind in (ResultKind.REPORT, ResultKind.TEXT_REPORT):
        (report,) = (one.dataset for one in made.objects if one.kind is kind)
        texts = [item.value for item in report.iterall() if item.keyword == "TextValue"]
        assert texts.count(SENTENCES[OWN]) == 1, kind

    recording = RecordingCanvas()
    draw_page(recording, ct_series(), called(OWN), context())

    drawn = " ".join(line.partition(": ")[2] for line in recording.drawn)
    assert SENTENCES[OWN] in drawn


def test_without_bounds_by_scanner_nothing_is_said() -> None:
    told = summary(ct_series(), called(None))

    assert scanner_words(None) == ""
    assert told["scanner_bounds"] is None
    assert not any("Bounds" in line for line in findings(told))


def test_it_is_translated() -> None:
    with writing_in(Language.GERMAN):
        assert scanner_words(OWN).startswith("Grenzen der Scannergruppe Nord-Sued, gewählt an 40")
