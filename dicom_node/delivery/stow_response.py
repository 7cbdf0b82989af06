"""Read the response of a DICOMweb service to STOW-RS (PS3.18 10.5.3), and judge the outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dicom_node.delivery.outcome import Outcome, Verdict, judge
from dicom_node.network.status_codes import HTTP_ALL_STORED, HTTP_NONE_STORED, HTTP_SOME_STORED

STORED = (HTTP_ALL_STORED, HTTP_SOME_STORED)
TRANSIENT_ERRORS = (408, 425, 429)  #: RFC 9110, RFC 8470, RFC 6585; and all from 500
SERVER_ERRORS = 500

FAILED_SOP_SEQUENCE, FAILURE_REASON = "00081198", "00081197"
SOP_INSTANCE_UID = "00080018"

HINTS: Mapping[int, str] = MappingProxyType(
    {
        301: "redirects are not followed: see url",
        302: "redirects are not followed: see url",
        307: "redirects are not followed: see url",
        308: "redirects are not followed: see url",
        401: "see user, password_file and token_file",
        403: "see user, password_file and token_file",
        404: "see url",
        413: "it takes no object of this size",
        415: "it takes no DICOM file in this transfer syntax",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """One answer by HTTP."""

    status: int
    content_type: str = ""
    body: bytes = b""


def judge_answer(answer: HttpAnswer) -> Outcome:
    """Turn the answer to a request with one object into an outcome.

    A Failure Reason means what the same status means in answer to a C-STORE (PS3.18 Annex I.2).
    """
    reason = failure_reason(answer.body)
    if reason is not None and answer.status in (*STORED, HTTP_NONE_STORED):
        return judge(reason)
    if answer.status in STORED and answer.content_type.startswith("text/html"):
        detail = "the destination answered with a web page (see url)"
        return Outcome(verdict=Verdict.REFUSED, status=answer.status, detail=detail)
    if answer.status in STORED:
        return Outcome(verdict=Verdict.ACCEPTED, status=answer.status)
    postponed = answer.status >= SERVER_ERRORS or answer.status in TRANSIENT_ERRORS
    return Outcome(
        verdict=Verdict.POSTPONED if postponed else Verdict.REFUSED,
        status=answer.status,
        detail=words(answer.status),
    )


def words(status: int) -> str:
    """Sentence with the HTTP status, and the settings to check."""
    hint = HINTS.get(status)
    return f"the destination answered HTTP {status}" + (f" ({hint})" if hint else "")


def failure_reason(body: bytes) -> int | None:
    """Failure Reason of an object that was not stored; None if it cannot be read."""
    try:
        return int(json.loads(body)[FAILED_SOP_SEQUENCE]["Value"][0][FAILURE_REASON]["Value"][0])
    except (ValueError, TypeError, LookupError):
        return None


def holds_instance(body: bytes, sop_instance_uid: str) -> bool:
    """Say whether the matches of a query (PS3.18 10.6) hold an instance."""
    try:
        return any(
            match[SOP_INSTANCE_UID]["Value"][0] == sop_instance_uid for match in json.loads(body)
        )
    except (ValueError, TypeError, LookupError):
        return False
