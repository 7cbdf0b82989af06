"""Signed reports as HL7 messages: what is taken, what is not, and how that is answered."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.network.hl7.message import read_segments
from dicom_node.reception.reports.acknowledgement import acknowledgement
from dicom_node.reception.reports.oru_reader import (
    MAX_TEXT,
    Envelope,
    SignedReport,
    read_envelope,
    read_message,
    read_reports,
)
from dicom_node.reception.reports.refused import ErrorCode, MessageRefused, fault, rejection
from tests.support.samples.reports.messages import STUDY, oru

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def reports(message: str, codec: str = "utf-8") -> list[SignedReport]:
    return read_reports(read_message(message.encode(codec)))


def test_a_final_report_is_read_with_all_that_finds_its_study() -> None:
    (report,) = reports(oru("No pneumonia.", "Heart normal.", accession="A1"))

    assert report.study_instance_uids == (STUDY,)
    assert (report.order, report.numbers) == ("A1", ())
    assert (report.patient_ids, report.birth_date) == (("PAT1",), "19500101")
    assert report.text == "Findings:\nNo pneumonia.\nHeart normal."
    assert report.at == datetime(2026, 3, 2, 10, 15).astimezone()
    assert "pneumonia" not in repr(report)
    assert "PAT1" not in repr(report)


def test_without_a_study_the_numbers_of_the_order_find_it() -> None:
    text = oru("No pneumonia.", study="", accession="A1").replace("OBR|1||", "OBR|1|P7|")

    (report,) = reports(text)

    assert (report.study_instance_uids, report.numbers) == ((), ("A1", "P7"))


@pytest.mark.parametrize("code", ["110180^Study Instance UID^DCM", "113014^DICOM Study^DCM"])
def test_an_observation_may_name_the_study(code: str) -> None:
    text = oru("No pneumonia.", study="", more=[f"OBX|9|ST|{code}||1.2.3||||||F"])

    (report,) = reports(text)

    assert report.study_instance_uids == ("1.2.3",)
    assert "1.2.3" not in report.text


@pytest.mark.parametrize("status", ["P", "R", "I", "S", "A", ""])
def test_what_nobody_has_signed_is_passed_over(status: str) -> None:
    assert reports(oru("No pneumonia.", status=status)) == []


@pytest.mark.parametrize("status", ["C", "F"])
def test_corrected_reports_are_read(status: str) -> None:
    assert [one.status for one in reports(oru("No pneumonia.", status=status))] == [status]


def test_a_canceled_report_needs_no_text() -> None:
    assert [one.text for one in reports(oru(status="X"))] == [""]


def test_each_order_of_a_message_is_a_report_of_its_own() -> None:
    second = ["OBR|2||A2|||||||||||||||A2|||||||F", "OBX|1|TX|||COVID-19.||||||F"]
    first, other = reports(oru("No pneumonia.", study="", accession="A1", more=second))

    assert (first.numbers, other.numbers) == (("A1",), ("A2",))
    assert "COVID" not in first.text


def test_each_order_has_the_study_that_is_named_with_it() -> None:
    second = ["OBR|2||A2||||||||||||||||||||||F", "OBX|1|TX|||COVID-19.||||||F", "ZDS|1.2.4"]
    first, other = reports(oru("No pneumonia.", study="1.2.3", accession="A1", more=second))

    assert (first.study_instance_uids, other.study_instance_uids) == (("1.2.3",), ("1.2.4",))


def test_reports_of_one_order_are_one() -> None:
    second = ["OBR|2||A1||||||||||||||||||||||F", "OBX|1|TX|||Liver normal.||||||F"]
    (report,) = reports(oru("No pneumonia.", accession="A1", more=second))

    assert report.text == "Findings:\nNo pneumonia.\nLiver normal."
    assert report.study_instance_uids == (STUDY,)


def test_who_sends_is_known_of_a_message_that_cannot_be_read() -> None:
    message = oru("x", character_set="KLINGON").encode()

    assert read_envelope(message).control_id == "MSG1"


@pytest.mark.parametrize(
    ("message", "code", "is_rejected"),
    [
        ("hello", ErrorCode.REQUIRED_FIELD_MISSING, False),
        (oru("x", kind="ADT^A01"), ErrorCode.UNSUPPORTED_MESSAGE_TYPE, True),
        (oru("x", kind="ORU^R30"), ErrorCode.UNSUPPORTED_EVENT_CODE, True),
        (oru("x").replace("|P|2.5.1", "|T|2.5.1"), ErrorCode.UNSUPPORTED_PROCESSING_ID, True),
        (oru("x").replace("|P|2.5.1", "|P|3.0"), ErrorCode.UNSUPPORTED_VERSION_ID, True),
        (oru("x", control_id=""), ErrorCode.REQUIRED_FIELD_MISSING, False),
        (oru(), ErrorCode.REQUIRED_FIELD_MISSING, False),
        (oru("x", study=""), ErrorCode.REQUIRED_FIELD_MISSING, False),
        (oru("a|b|c|d|e|f|g|h"), ErrorCode.TABLE_VALUE_NOT_FOUND, False),
        (oru("left | right"), ErrorCode.DATA_TYPE_ERROR, False),
        (oru("left || right"), ErrorCode.DATA_TYPE_ERROR, False),
        (oru("left ||| COVID-19"), ErrorCode.DATA_TYPE_ERROR, False),
        (oru("left |||| COVID-19"), ErrorCode.DATA_TYPE_ERROR, False),
        (oru("left ||||| COVID-19"), ErrorCode.DATA_TYPE_ERROR, False),
        (oru("left|"), ErrorCode.DATA_TYPE_ERROR, False),
        (oru("left\\right COVID-19"), ErrorCode.DATA_TYPE_ERROR, False),
        (oru("left\\right\\ COVID-19"), ErrorCode.DATA_TYPE_ERROR, False),
        (oru("x", more=["PID|2||PAT2"]), ErrorCode.DATA_TYPE_ERROR, False),
        (oru("x" * MAX_TEXT), ErrorCode.DATA_TYPE_ERROR, False),
        (oru("x", character_set="KLINGON"), ErrorCode.TABLE_VALUE_NOT_FOUND, False),
        (oru("x").split("OBR")[0], ErrorCode.REQUIRED_FIELD_MISSING, False),
    ],
)
def test_what_is_not_taken_says_why(message: str, code: ErrorCode, *, is_rejected: bool) -> None:
    with pytest.raises(MessageRefused) as caught:
        reports(message)

    assert (caught.value.code, caught.value.is_rejected) == (code, is_rejected)
    assert "DOE" not in str(caught.value)


@pytest.mark.parametrize(
    ("character_set", "codec"),
    [
        ("UNICODE UTF-8", "utf-8"),
        ("8859/1", "latin-1"),
        ("ISO-8859-1", "latin-1"),
        ("8859/15", "iso8859-15"),
        ("ASCII", "utf-8"),
        ("", "utf-8"),
        ("", "latin-1"),
        ("ASCII", "latin-1"),
    ],
)
def test_text_is_read_by_its_character_set(character_set: str, codec: str) -> None:
    (report,) = reports(oru("Entzündung à gauche", character_set=character_set), codec)

    assert "Entzündung à gauche" in report.text


def test_bytes_of_another_set_than_the_one_that_is_named_are_refused() -> None:
    with pytest.raises(MessageRefused, match="MSH-18"):
        reports(oru("Entzündung"), "latin-1")


@pytest.mark.parametrize(
    ("accepts", "refused", "code"),
    [
        ("", None, "AA"),
        ("NE", None, "AA"),
        ("AL", None, "CA"),
        ("", fault("no", ErrorCode.REQUIRED_FIELD_MISSING), "AE"),
        ("AL", fault("no", ErrorCode.REQUIRED_FIELD_MISSING), "CE"),
        ("", rejection("no", ErrorCode.UNSUPPORTED_EVENT_CODE), "AR"),
    ],
)
def test_an_acknowledgement_names_its_message(
    accepts: str, refused: MessageRefused | None, code: str
) -> None:
    envelope = Envelope(
        sender=("RIS", "H|1"), receiver=("AINODE", ""), control_id="M1", accepts=accepts
    )

    segments = read_segments(acknowledgement(envelope, refused, NOW).decode())

    assert [segments[0].component(number) for number in (3, 5, 6, 9)] == [
        "AINODE",
        "RIS",
        "H|1",
        "ACK",
    ]
    assert [segments[1].component(number) for number in (1, 2)] == [code, "M1"]
    if refused is not None:
        assert segments[2].component(3) == str(int(refused.code))


LINES = st.sampled_from(
    [
        "MSH|^~\\&|A|B|C|D|2026|x|ORU^R01|1|P|2.5|||||",
        "PID|1||",
        "OBR|1||A|",
        "OBX|1|TX|||",
        "ZDS|1.2",
    ]
)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(st.one_of(LINES, st.text(max_size=20)), max_size=8).map(
            lambda lines: "\r".join(["MSH|^~\\&|A|B||||||ORU^R01|1|P|2.5", *lines]).encode()
        ),
    )
)
def test_whatever_comes_is_read_or_refused(message: bytes) -> None:
    with suppress(MessageRefused):
        assert read_envelope(message).control_id.isprintable()
        assert isinstance(read_reports(read_message(message)), list)
