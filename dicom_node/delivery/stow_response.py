"""Read the response of a DICOMweb service to STOW-RS (PS3.18 10.5.3), and judge the outcome.

Services answer in JSON (PS3.18 Annex F), some in an array, or in XML (PS3.19 A.1), whatever they
were asked for, and some with a part of a multipart body: the contents say which it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from types import MappingProxyType
from xml.etree import ElementTree

from dicom_node.delivery.outcome import Outcome, Verdict
from dicom_node.delivery.proof import Evidence, evidence, judge_evidence
from dicom_node.network.status_codes import HTTP_NONE_STORED

SUCCESSFUL = range(200, 300)
TRANSIENT_ERRORS = (408, 425, 429)  #: RFC 9110, RFC 8470, RFC 6585; and all from 500
SERVER_ERRORS = 500
OF_THE_PLACE = (401, 402, 403, 404, 405, 406, 407, 410, 411, 412, 414, 417, 421, 426, 428, 431, 451)
"""HTTP status of a service that is not there, or does not let us in: no word on the object."""

REFERENCED_SOP_SEQUENCE, FAILED_SOP_SEQUENCE = "00081199", "00081198"
OTHER_FAILURES_SEQUENCE = "0008119A"
REFERENCED_SOP_INSTANCE, SOP_INSTANCE_UID = "00081155", "00080018"
WARNING_REASON, FAILURE_REASON = "00081196", "00081197"
HEXADECIMAL_DIGITS = 4  #: of a status that begins with zero, such as 0110

HINTS: Mapping[int, str] = MappingProxyType(
    {
        301: "redirects are not followed: see url",
        302: "redirects are not followed: see url",
        303: "redirects are not followed: see url",
        307: "redirects are not followed: see url",
        308: "redirects are not followed: see url",
        401: "see user, password_file and token_file",
        403: "see user, password_file and token_file",
        404: "see url",
        405: "see url",
        413: "it takes no object of this size",
        415: "it takes no DICOM file in this transfer syntax",
    }
)

Item = Mapping[str, object]  #: tag to first value, an item of a sequence or a whole data set


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """One answer by HTTP."""

    status: int
    content_type: str = ""
    body: bytes = b""


def judge_answer(answer: HttpAnswer, sop_instance_uid: str) -> Outcome | None:
    """Turn the answer to a request with one object into an outcome.

    Returns
    -------
    Outcome or None
        None if the service says that it succeeded, and not that it stored this object.
    """
    found = judge_evidence(read_evidence(answer), sop_instance_uid)
    if found is not None and (
        found.verdict is not Verdict.ACCEPTED or _may_accept(answer.status, found)
    ):
        return Outcome(
            verdict=found.verdict,
            status=answer.status if found.status is None else found.status,
            detail=found.detail,
            about_object=found.about_object,
        )
    if answer.status in SUCCESSFUL:
        return None
    status = answer.status
    if status < 400 or status >= SERVER_ERRORS or status in (*TRANSIENT_ERRORS, *OF_THE_PLACE):
        return Outcome(verdict=Verdict.POSTPONED, status=status, detail=words(status))
    return Outcome(
        verdict=Verdict.REFUSED,
        status=status,
        detail=words(status),
        about_object=status == HTTP_NONE_STORED,
    )


def _may_accept(status: int, found: Outcome) -> bool:
    """Say whether an object counts as stored: by a success, or since it is there already."""
    return status in SUCCESSFUL or (found.status is not None and status == HTTP_NONE_STORED)


def unproven(answer: HttpAnswer, why_not_found: str) -> Outcome:
    """Outcome of an object that a service neither says to be stored nor lets be found."""
    page = answer.content_type.startswith("text/html")
    what = "with a web page (see url)" if page else f"HTTP {answer.status}"
    detail = f"the destination answered {what}, not that it stored the object; {why_not_found}"
    return Outcome(verdict=Verdict.POSTPONED, status=answer.status, detail=detail)


def words(status: int) -> str:
    """Sentence with the HTTP status, and the settings to check."""
    hint = HINTS.get(status)
    return f"the destination answered HTTP {status}" + (f" ({hint})" if hint else "")


def read_evidence(answer: HttpAnswer) -> Evidence:
    """Read the Store Instances Response Module; what cannot be read says nothing."""
    stored, other = list[str](), list[int | None]()
    failed, warned = list[tuple[str, int | None]](), list[tuple[str, int | None]]()
    for ds in _data_sets(answer.content_type, answer.body):
        referenced = list(_items(ds, REFERENCED_SOP_SEQUENCE))
        stored += map(_uid, referenced)
        warned += [(_uid(item), _reason(item, WARNING_REASON)) for item in referenced]
        failed += [(_uid(item), _reason(item)) for item in _items(ds, FAILED_SOP_SEQUENCE)]
        other += [_reason(item) for item in _items(ds, OTHER_FAILURES_SEQUENCE)]
    return evidence(stored, failed, other, warned)


def holds_instance(answer: HttpAnswer, sop_instance_uid: str) -> bool:
    """Say whether the matches of a query (PS3.18 10.6) hold an instance."""
    return answer.status in SUCCESSFUL and any(
        str(_first(ds.get(SOP_INSTANCE_UID))) == sop_instance_uid
        for ds in _data_sets(answer.content_type, answer.body)
    )


def _data_sets(content_type: str, body: bytes) -> Iterator[Mapping[str, object]]:
    """Yield the data sets in a body, each as tag to list of values; none if it holds none."""
    if content_type.lower().startswith("multipart/"):
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        for part in message_from_bytes(head + body).walk():
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                yield from _data_sets("", payload)
        return
    try:
        text = body.decode("utf-8-sig").strip()
        if text.startswith("<"):
            yield from _from_xml(text)
        else:
            yield from _from_json(json.loads(text))
    except (ValueError, RecursionError, ElementTree.ParseError):
        return


def _from_json(answer: object) -> Iterator[Mapping[str, object]]:
    for ds in answer if isinstance(answer, list) else [answer]:
        if isinstance(ds, dict):
            yield {
                str(tag).upper(): element.get("Value")
                for tag, element in ds.items()
                if isinstance(element, dict)
            }


def _from_xml(text: str) -> Iterator[Mapping[str, object]]:
    """Read native DICOM models; entities, which could be bombs, are in none."""
    if "<!DOCTYPE" in text:
        return
    root = ElementTree.fromstring(text)  # noqa: S314  # without a document type there are no bombs
    models = [element for element in root.iter() if _name(element) == "NativeDicomModel"]
    for model in models:
        yield _model(model)


def _model(parent: ElementTree.Element) -> Mapping[str, object]:
    """Read the attributes of a model or an item: values, or items for a sequence."""
    ds: dict[str, object] = {}
    for attribute in parent:
        if _name(attribute) == "DicomAttribute":
            ds[attribute.get("tag", "").upper()] = [
                {tag: {"Value": value} for tag, value in _model(child).items()}
                if _name(child) == "Item"
                else (child.text or "")
                for child in attribute
            ]
    return ds


def _name(element: ElementTree.Element) -> str:
    """Name without its namespace."""
    return element.tag.rpartition("}")[2]


def _items(ds: Mapping[str, object], tag: str) -> Iterator[Item]:
    values = ds.get(tag)
    for item in values if isinstance(values, list) else [values] if values else []:
        yield next(_from_json(item), {}) if isinstance(item, dict) else {}


def _uid(item: Item) -> str:
    value = _first(item.get(REFERENCED_SOP_INSTANCE))
    return value.strip("\0 \r\n\t") if isinstance(value, str) else ""


def _reason(item: Item, tag: str = FAILURE_REASON) -> int | None:
    """Read a Failure or Warning Reason: a number, or text as some give it: 272, 0110, 0xA900."""
    value = _first(item.get(tag))
    text = str(value).strip().lower()
    hexadecimal = text.startswith("0x") or (text[:1] == "0" and len(text) == HEXADECIMAL_DIGITS)
    try:
        return int(text, 16) if hexadecimal else int(float(text))
    except (ValueError, OverflowError):
        return None


def _first(values: object) -> object:
    if isinstance(values, list):
        return values[0] if values else None
    return values
