"""The source series by its number and description: told apart, and without the patient."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation

from pipeline.encode.bundle import encode, part10
from pipeline.encode.common.sentences import HEATMAP_MEANING, percent, ready_sentence
from pipeline.encode.result.products import HeatmapForm, Products
from pipeline.encode.result.series_numbers import ResultNumbering
from pipeline.encode.source.series_name import number, picture_name, series_name
from pipeline.encode.sr.notice import not_analysed
from pipeline.encode.sr.text_report import text_report
from tests.support.samples.encode_samples import (
    SeriesSpec,
    analysis,
    context,
    ct_series,
    header_of,
    read_back,
)

NAMED = {"SeriesNumber": 4, "SeriesDescription": "Lung 1.0"}
ALL = Products(summary_pdf=True, parametric_map=True, key_images=True)


def header(**identity: object) -> Dataset:
    """As read from a file."""
    made = header_of(SeriesSpec(), **identity)
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.5"
    return read_back(made)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (NAMED, "series 4, Lung 1.0"),
        ({"SeriesNumber": 4}, "series 4"),
        ({"SeriesNumber": None, "SeriesDescription": "Lung"}, "series UID ...1.2.3.2, Lung"),
        (
            {"SeriesNumber": 7, "SeriesDescription": "Lunge dünn\tGEFÄSS"},
            "series 7, Lunge dunn GEFASS",
        ),
        ({"SeriesNumber": 7, "SeriesDescription": "Lung of Mia, 1.0"}, "series 7"),
        ({"SeriesNumber": 7, "SeriesDescription": "MUSTER lung"}, "series 7"),
        ({"SeriesNumber": 7, "SeriesDescription": "lung A77", "PatientID": "A-77"}, "series 7"),
        ({"SeriesNumber": 7, "SeriesDescription": "lung 1", "PatientID": "1"}, "series 7, lung 1"),
        ({"SeriesNumber": 7, "SeriesDescription": "lung 19600101"}, "series 7"),
        ({"SeriesNumber": 7, "SeriesDescription": "Miami"}, "series 7, Miami"),
    ],
)
def test_a_series_has_the_name_that_people_know(given: dict[str, object], expected: str) -> None:
    assert series_name(header(**given)) == expected


def test_a_description_without_any_letter_that_we_can_write_is_left_out() -> None:
    japanese = header(SpecificCharacterSet="ISO_IR 192", SeriesDescription="胸部")
    assert series_name(japanese) == "series 3"
    partly = header(SpecificCharacterSet="ISO_IR 192", SeriesDescription="胸部 1.0")
    assert series_name(partly) == "series 3"


def test_pixels_hold_the_number_alone() -> None:
    """What is burned in stays when headers are made anonymous; a description may hold anything."""
    assert picture_name(header(SeriesNumber=4, SeriesDescription="Thorax_Muster_1.0")) == "series 4"
    assert picture_name(header(SeriesNumber=None)) == "series UID ...1.2.3.2"
    with disable_value_validation():
        worded = header(SeriesNumber=None, SeriesInstanceUID="1.2.Muster")
        assert picture_name(worded) == "series without a number"
    of_the_patient = header(SeriesNumber=None, SeriesInstanceUID="1.2.4711", PatientID="04711")
    assert picture_name(of_the_patient) == "series without a number"


@pytest.mark.parametrize(
    ("uid", "end"),
    [("1.2.840.10008.12345678", "2345678"), ("1.2.840.1.345678", "345678"), ("1.2.3", "1.2.3")],
)
def test_the_last_seven_characters_of_a_uid_name_a_series(uid: str, end: str) -> None:
    assert picture_name(header(SeriesNumber=None, SeriesInstanceUID=uid)) == f"series UID ...{end}"


@pytest.mark.parametrize(
    ("given", "name"),
    [("0", "series 0"), ("999999999999", "series 999999999999"), ("-1", None)],
)
def test_numbers_from_zero_to_twelve_digits_name_a_series(given: str, name: str | None) -> None:
    with disable_value_validation():
        assert picture_name(header(SeriesNumber=given)) == (name or "series UID ...1.2.3.2")


def test_no_description_changes_a_pixel() -> None:
    one, other = (
        encode(ct_series(SeriesNumber=4, SeriesDescription=words), analysis(), context())
        for words in ("Thorax_Smith_Ann", "Lung 1.0")
    )
    for here, there in zip(one.objects, other.objects, strict=True):
        assert here.dataset.get("PixelData") == there.dataset.get("PixelData")


def test_looking_at_the_identity_leaves_its_bytes_alone() -> None:
    source = header(**NAMED)
    before = source.get_item("PatientName")
    series_name(source)
    assert source.get_item("PatientName") is before


def lines(report: Dataset) -> list[str]:
    read = dcmread(BytesIO(part10(report)))
    return [item.TextValue for item in read.ContentSequence[-1].ContentSequence]


def test_text_sentence_and_notice_name_the_series() -> None:
    series = ct_series(**NAMED)
    assert "Read: CT series 4, Lung 1.0." in lines(text_report(series, analysis(), context()))
    assert " on series 4, Lung 1.0: " in ready_sentence(series, analysis())
    notice = not_analysed(series.headers, "too-few-slices", "too few", context())
    assert lines(notice)[0].startswith("NOT analysed by the AI: series 4, Lung 1.0. ")
    assert notice.SeriesDescription == "AI on series 4: not analysed (research use)"


def test_the_text_says_that_heatmaps_do_not_compare_if_there_is_one() -> None:
    without = context(products=Products(heatmap=HeatmapForm.NONE))
    assert HEATMAP_MEANING in lines(text_report(ct_series(), analysis(), context()))
    assert HEATMAP_MEANING not in lines(text_report(ct_series(), analysis(), without))


def descriptions(
    generation: int = 1, numbering: ResultNumbering | None = None, **identity: object
) -> list[str]:
    made = context(products=ALL, generation=generation, numbering=numbering or ResultNumbering())
    bundle = encode(ct_series(**identity), analysis(), made)
    return list(dict.fromkeys(item.dataset.SeriesDescription for item in bundle.objects))


def test_results_of_two_series_are_told_apart_in_a_list() -> None:
    one, other = (descriptions(SeriesNumber=number) for number in (4, 5))
    assert not set(one) & set(other)
    assert all(description.startswith("AI on series 4: ") for description in one)


def test_descriptions_fit_their_attribute() -> None:
    longest = descriptions(generation=12, SeriesNumber=999_999_999_999)
    for description in longest:
        assert len(description) <= 64
        assert description.startswith("AI on series 999999999999: ")
        assert description.endswith(", revision 12")


def test_a_number_that_is_none_is_not_shown() -> None:
    assert number(header(SeriesNumber=None)) == ""
    named = "AI on series UID ...1.2.3.2: summary (research use)"
    assert descriptions(SeriesNumber=None)[0] == named


def test_results_of_series_that_share_their_number_are_told_apart_by_name() -> None:
    shared = ResultNumbering(first=9010, ambiguous=True)
    one, other = (
        descriptions(numbering=shared, SeriesNumber=4, SeriesInstanceUID=f"1.2.3.{n}")
        for n in (10, 11)
    )
    assert not set(one) & set(other)
    assert all(description.startswith("AI on series 4 UID ...") for description in one)
    assert max(map(len, one)) <= 64


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "none localised"),
        (0.0001, "<0.1 %"),
        (0.0005, "0.1 %"),
        (0.5, "50.0 %"),
        (None, "not reported"),
    ],
)
def test_a_little_is_not_shown_as_nothing(share: float | None, shown: str) -> None:
    assert percent(share) == shown
