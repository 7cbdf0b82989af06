"""HL7 messages as text: what is written is read back, whatever is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.errors import NodeError
from dicom_node.network.hl7.message import (
    SEPARATORS,
    field,
    formatted,
    message,
    read_segments,
    segment,
    unescaped,
)

WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")))


@given(WORDS, WORDS)
def test_what_is_written_is_read_back(first: str, second: str) -> None:
    text = message(
        segment("MSH", SEPARATORS, field("A")), segment("PID", "1", field(first, second))
    )
    header, patient = read_segments(text)

    assert (header.component(1), header.component(3)) == ("|", "A")
    assert [patient.component(2, part) for part in (1, 2, 3)] == [first, second, ""]
    assert patient.component(9) == ""


def test_a_line_end_is_no_end_of_a_segment() -> None:
    lines = "one\r\ntwo\rthree|\n"
    text = message(segment("MSH", SEPARATORS), segment("OBX", field(lines), formatted(lines)))

    _, row = read_segments(text)
    assert [row.component(number) for number in (1, 2)] == [
        "one two three| ",
        "one\ntwo\nthree|\n",
    ]


def test_control_characters_end_no_frame() -> None:
    assert field("a\x0b\x1cb\x00\tc\x7f") == "ab c"


def test_separators_of_others_are_those_of_their_header() -> None:
    header, patient = read_segments("MSH!*~?$!A*B\nPID!1!x?S?y*z\n")

    assert header.component(3, 2) == "B"
    assert [patient.component(2, part) for part in (1, 2)] == ["x*y", "z"]


def test_escapes_without_a_meaning_in_text_are_left_out() -> None:
    assert unescaped("a\\Z1\\b\\H\\c", "|^~\\&") == "abc"


@pytest.mark.parametrize("words", ["left\\right COVID-19", "a\\b", "\\", "\\no end\\", "\\X0\\"])
def test_a_sign_of_escape_that_begins_none_is_kept_and_told(words: str) -> None:
    row = read_segments(f"MSH|^~\\&|A\rOBX|{words}|{words}\\T\\")[1]

    assert (row.text(1), row.text(2)) == (words, f"{words}&")
    assert not row.is_well_escaped(1)


def test_a_line_of_three_capitals_is_text() -> None:
    row = read_segments("MSH|^~\\&|A\rOBX|1|No infiltrate.\nRUL\nCOVID-19.")[1]

    assert row.text(2) == "No infiltrate.\nRUL\nCOVID-19."


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a\\X0D0A\\b", "a\nb"),
        ("a\\.sp2\\b", "a\nb"),
        ("\\XC3A9\\t\\XE9\\", "été"),
        ("a\\X0B\\b", "ab"),
    ],
)
def test_escapes_of_bytes_and_lines_are_read(written: str, read: str) -> None:
    assert unescaped(written, "|^~\\&") == read


def test_a_line_without_the_name_of_a_segment_goes_on_with_the_text_before() -> None:
    text = "MSH|^~\\&|A\rOBX|1|TX|||No effusion.\nHeart of normal size|F\rOBX|2|TX|||End.~Of it"

    _, first, second = read_segments(text)

    assert first.text(5) == "No effusion.\nHeart of normal size"
    assert first.component(6) == "F"
    assert second.text(5) == "End.\nOf it"
    assert second.repetitions(5) == ["End.", "Of it"]


@pytest.mark.parametrize("text", ["", "PID|1", "MSH", "MSH||||||", "MSH|^~^&|"])
def test_what_does_not_begin_with_a_header_is_no_message(text: str) -> None:
    with pytest.raises(NodeError, match="begins with MSH"):
        read_segments(text)
