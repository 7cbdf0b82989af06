"""Proof by answers: C-STORE, STOW-RS as real services give them, storage commitment."""

from __future__ import annotations

import json

import pytest
from pydicom import Dataset

from dicom_node.delivery.commitment.scu import read_report
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.proof import judge
from dicom_node.delivery.stow_response import HttpAnswer, judge_answer

V = Verdict
OURS, OTHER, CLASS = "2.25.101", "2.25.999", "1.2.840.10008.5.1.4.1.1.88.34"
JSON, XML = "application/dicom+json", "application/dicom+xml"
UNPROVEN = None  #: looked for by QIDO-RS, else postponed


@pytest.mark.parametrize(
    ("status", "verdict", "about_object"),
    [
        (0x0000, V.ACCEPTED, True),
        (0x0111, V.ACCEPTED, True),  # already there
        (0xB000, V.ACCEPTED, True),  # coercion of data elements
        (0xB007, V.ACCEPTED, True),
        (0x0107, V.ACCEPTED, True),  # attribute list error: a warning of PS3.7 C.4
        (0xA700, V.POSTPONED, True),  # out of resources
        (0xA7FF, V.POSTPONED, True),
        (0x0110, V.POSTPONED, True),  # processing failure
        (0x0124, V.POSTPONED, True),  # not authorised: whom it lets in may change
        (0x0211, V.POSTPONED, True),  # unrecognised operation
        (0xFF00, V.POSTPONED, True),  # pending is no answer to C-STORE
        (0xFE00, V.POSTPONED, True),
        (0xA900, V.REFUSED, True),  # data set does not match SOP class
        (0xA9FF, V.REFUSED, True),
        (0xAA00, V.POSTPONED, True),
        (0xC000, V.REFUSED, True),  # cannot understand
        (0xCFFF, V.REFUSED, True),
        (0x0117, V.REFUSED, True),  # invalid SOP instance
        (0x0122, V.UNSUPPORTED, False),  # SOP class not supported: perhaps none is
    ],
)
def test_every_status_has_one_reaction(status: int, verdict: Verdict, about_object: bool) -> None:
    outcome = judge(status)
    assert (outcome.verdict, outcome.about_object) == (verdict, about_object)


@pytest.mark.parametrize(
    ("status", "remark"),
    [
        (0x0000, ""),
        (0x0111, ""),
        (0xB000, "stored with a warning, 0xB000: it changed attributes"),
        (0xB006, "stored with a warning, 0xB006: it left elements out"),
        (0xB0FF, "stored with a warning, 0xB0FF"),
        (0x0107, "stored with a warning, 0x0107"),
    ],
)
def test_a_warning_is_said_however_it_is_answered(status: int, remark: str) -> None:
    """PS3.4 Table B.2-1; Warning Reason (0008,1196) of PS3.18 Table I.2-1."""
    assert judge(status).detail == remark
    if status in {0x0000, 0x0111}:
        return
    ds = body([named(OURS, reason=status, tag="00081196")])
    found = judge_answer(HttpAnswer(status=202, body=json.dumps(ds).encode()), OURS)
    assert found is not None
    assert (found.verdict, found.detail) == (V.ACCEPTED, remark)
    other = body([named(OURS), named(OTHER, reason=status, tag="00081196")])
    found = judge_answer(HttpAnswer(status=202, body=json.dumps(other).encode()), OURS)
    assert found is not None
    assert (found.verdict, found.detail) == (V.ACCEPTED, "")


def named(uid: str, *, reason: object = None, tag: str = "00081197") -> dict[str, object]:
    item: dict[str, object] = {
        "00081150": {"vr": "UI", "Value": [CLASS]},
        "00081155": {"vr": "UI", "Value": [uid]},
    }
    return item if reason is None else item | {tag: {"vr": "US", "Value": [reason]}}


def body(
    stored: list[dict[str, object]] | None = None,
    failed: list[dict[str, object]] | None = None,
    **more: object,
) -> dict[str, object]:
    found: dict[str, object] = {}
    for tag, items in (("00081199", stored), ("00081198", failed)):
        if items is not None:
            found[tag] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    return found | more


URL = {"00081190": {"vr": "UR", "Value": ["https://pacs.example/studies/2.25.3"]}}
FAILED_UNNAMED: list[dict[str, object]] = [{"00081197": {"vr": "US", "Value": [43264]}}]
XML_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
)
XML_ITEM = (
    '<DicomAttribute tag="{sequence}" vr="SQ"><Item number="1">'
    '<DicomAttribute tag="00081155" vr="UI"><Value number="1">\n{uid}</Value></DicomAttribute>'
    '<DicomAttribute tag="00081197" vr="US"><Value number="1">{reason}</Value></DicomAttribute>'
    "</Item></DicomAttribute>"
)
XML_STORED = XML_HEAD + XML_ITEM.format(sequence="00081199", uid=OURS, reason="")
XML_FAILED = XML_HEAD + XML_ITEM.format(sequence="00081198", uid=OURS, reason=43264)
END = "</NativeDicomModel>"
PART = "--b\r\nContent-Type: application/dicom+xml\r\n\r\n" + XML_STORED + END + "\r\n--b--\r\n"
LATER_FAILURES = {"0008119A": {"vr": "SQ", "Value": FAILED_UNNAMED}}

ANSWERS: dict[str, tuple[int, object, str, Verdict | None]] = {
    # Orthanc: both sequences always; failures as text, until 1.16 in hexadecimal, and as 200
    "Orthanc stored": (200, body([named(OURS) | URL], []), JSON, V.ACCEPTED),
    "Orthanc failed, old": (200, body([], [named(OURS, reason="0110")]), JSON, V.POSTPONED),
    "Orthanc failed, as text": (400, body([], [named(OURS, reason="272")]), JSON, V.POSTPONED),
    "Orthanc conflict": (409, body([], [named(OURS, reason="43264")]), JSON, V.REFUSED),
    "Orthanc in XML": (200, XML_STORED + END, XML, V.ACCEPTED),
    # dcm4chee: warnings beside what is stored; 409 where nothing is
    "dcm4chee stored": (200, body([named(OURS)], **URL), JSON, V.ACCEPTED),
    "dcm4chee coerced": (
        202,
        body([named(OURS, reason=45056, tag="00081196")], **URL),
        JSON,
        V.ACCEPTED,
    ),
    "dcm4chee failed": (409, body(None, [named(OURS, reason=49153)]), JSON, V.REFUSED),
    "dcm4chee full": (409, body(None, [named(OURS, reason=42752)]), JSON, V.POSTPONED),
    # Azure: 45070 it exists, 45071 it is being made or left over, both among the failures
    "Azure stored": (200, body([named(OURS) | URL], **URL), JSON, V.ACCEPTED),
    "Azure validation": (409, body(None, [named(OURS, reason=43264)]), JSON, V.REFUSED),
    "Azure exists": (409, body(None, [named(OURS, reason=45070)]), JSON, V.POSTPONED),
    "Azure half made": (409, body(None, [named(OURS, reason=45071)]), JSON, V.POSTPONED),
    "Azure none read": (204, "", "", UNPROVEN),
    # Google: errors of its gateway as JSON of their own
    "Google stored": (200, body([named(OURS) | URL], **URL), JSON, V.ACCEPTED),
    "Google failed": (409, body(None, [named(OURS, reason=272)]), JSON, V.POSTPONED),
    "Google exists": (409, body(None, [named(OURS, reason=273)]), JSON, V.ACCEPTED),
    "Google quota": (429, {"error": {"code": 429}}, "application/json", V.POSTPONED),
    "Google no permission": (403, [{"error": {"code": 403}}], "application/json", V.POSTPONED),
    # DICOMcloud: an array, or XML, whatever it is asked for
    "DICOMcloud stored": (200, [body([named(OURS)])], JSON, V.ACCEPTED),
    "DICOMcloud failed": (200, [body(None, [named(OURS, reason=272)])], JSON, V.POSTPONED),
    "DICOMcloud failed, XML": (202, XML_FAILED + END, XML, V.REFUSED),
    "XML as a part": (200, PART, 'multipart/related; boundary="b"', V.ACCEPTED),
    # what says nothing
    "nothing at all": (200, "", JSON, UNPROVEN),
    "braces": (200, {}, JSON, UNPROVEN),
    "text": (200, "error: queue full, object dropped", "text/plain", UNPROVEN),
    "a web page": (200, "<html>Sign in</html>", "text/html", UNPROVEN),
    "a retrieve URL only": (200, URL, JSON, UNPROVEN),
    "no failures only": (202, body(None, []), JSON, UNPROVEN),
    "items without names": (200, body([{}]), JSON, UNPROVEN),
    "another object stored": (200, body([named(OTHER)]), JSON, UNPROVEN),
    "another object failed": (202, body(None, [named(OTHER, reason=43264)]), JSON, UNPROVEN),
    "stored and failed": (202, body([named(OURS)], [named(OURS, reason=272)]), JSON, UNPROVEN),
    "cut off": (200, json.dumps(body([named(OURS)]))[:-3], JSON, UNPROVEN),
    "deep": (200, "[" * 100_000, JSON, UNPROVEN),
    "entities": (200, '<!DOCTYPE a [<!ENTITY b "c">]>' + XML_STORED[38:] + END, XML, UNPROVEN),
    "other types": (200, {"00081199": {"Value": 7}, "00081198": 3}, JSON, UNPROVEN),
    "a number": (200, 7, JSON, UNPROVEN),
    # failures in a success
    "failed within 200": (200, body(None, FAILED_UNNAMED), JSON, V.REFUSED),
    "failed within an array": (202, [body(None, FAILED_UNNAMED)], JSON, V.REFUSED),
    "other failures": (202, LATER_FAILURES, JSON, V.REFUSED),
    "no reason": (202, body(None, [{}]), JSON, V.POSTPONED),
    "a warning as a failure": (202, body(None, [named(OURS, reason=45056)]), JSON, V.POSTPONED),
    "hexadecimal": (202, body(None, [named(OURS, reason="0xA900")]), JSON, V.REFUSED),
    "no number": (202, body(None, [named(OURS, reason="broken")]), JSON, V.POSTPONED),
    # stored in a failure
    "stored within 409": (409, body([named(OURS)]), JSON, V.REFUSED),
    "stored within 500": (500, body([named(OURS)]), JSON, V.POSTPONED),
    # of the place: tried again
    **{f"HTTP {status}": (status, "", "", V.POSTPONED) for status in (301, 302, 307, 401, 403)},
    **{f"HTTP {status}": (status, "", "", V.POSTPONED) for status in (404, 405, 407, 410, 421)},
    **{f"HTTP {status}": (status, "", "", V.POSTPONED) for status in (408, 425, 500, 502, 503)},
    # of the object, unless the service says so of all
    **{f"HTTP {status}": (status, "", "", V.REFUSED) for status in (400, 409, 413, 415, 422)},
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_only_what_is_named_as_stored_is_delivered(
    answer: tuple[int, object, str, Verdict | None],
) -> None:
    status, content, content_type, expected = answer
    encoded = content if isinstance(content, str) else json.dumps(content)
    outcome = judge_answer(
        HttpAnswer(status=status, content_type=content_type, body=encoded.encode()), OURS
    )
    assert (outcome and outcome.verdict) is expected


@pytest.mark.parametrize(("status", "about_object"), [(409, True), (400, False), (415, False)])
def test_only_a_conflict_is_about_the_object(status: int, about_object: bool) -> None:
    outcome = judge_answer(HttpAnswer(status=status), OURS)
    assert outcome is not None
    assert outcome.about_object is about_object


def reference(uid: str, reason: int | None = None) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = CLASS, uid
    if reason is not None:
        ds.FailureReason = reason
    return ds


def test_a_report_that_says_both_says_nothing() -> None:
    ds = Dataset()
    ds.TransactionUID = "2.25.7"
    ds.ReferencedSOPSequence = [reference(OURS), reference("2.25.102")]
    ds.FailedSOPSequence = [
        reference(OURS, 0x0112),
        reference(OTHER),
        reference("2.25.103", 0x0112),
    ]

    report = read_report(ds)

    assert report.committed == {"2.25.102"}
    assert report.failed == {OTHER: 0x0110, "2.25.103": 0x0112}
