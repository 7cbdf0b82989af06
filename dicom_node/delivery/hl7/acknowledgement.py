"""Decide what an acknowledgement proves of a message (HL7 2.5.1, 2.9.2 and table 0008).

A message counts as delivered on positive proof only: an acknowledgement that accepts it and names
its control ID.
"""

from __future__ import annotations

from dicom_node.delivery.outcome import Outcome, Verdict
from dicom_node.errors import NodeError
from dicom_node.network.hl7.message import read_segments

ACCEPTED = frozenset({"AA", "CA"})
ERROR = frozenset({"AE", "CE"})  #: in the work on the message; only a code says that it lasts
REJECTED = frozenset({"AR", "CR"})  #: of the receiver: down, or not set up for it; may pass
NO_ERROR, INTERNAL_ERROR = 0, 207  #: table 0357, of an answer that has no ERR-3
PASSING = frozenset({206, 207})  #: table 0357: record locked, application internal error
LONGEST_ERROR = 5  #: digits of ERR-3; those of table 0357 have three


def acknowledged(answer: bytes) -> str:
    """Read which message an answer is to, by its control ID; empty if it is to none."""
    try:
        segments = read_segments(answer.decode("latin-1"))
    except NodeError:
        return ""
    return next((one.component(2) for one in segments if one.name == "MSA"), "")


def judge_acknowledgement(answer: bytes, control_id: str) -> Outcome:
    """Decide what an answer says of the message with a control ID."""
    try:
        segments = {one.name: one for one in reversed(read_segments(answer.decode("latin-1")))}
    except NodeError:
        return Outcome(verdict=Verdict.UNANSWERED, detail="it answers with no HL7 message")
    if acknowledged(answer) != control_id:
        return Outcome(verdict=Verdict.UNANSWERED, detail="its answer is to no message of ours")
    code = segments["MSA"].component(1)
    if code in ACCEPTED:
        return Outcome(verdict=Verdict.ACCEPTED, status=NO_ERROR)
    number = segments["ERR"].component(3) if "ERR" in segments else ""
    is_given = number.isdecimal() and len(number) <= LONGEST_ERROR
    status = int(number) if is_given else INTERNAL_ERROR
    given = f", error {status}" if is_given else ""
    if code in ERROR and is_given and status not in PASSING:
        return Outcome(verdict=Verdict.REFUSED, status=status, detail=f"it answered {code}{given}")
    if code in ERROR | REJECTED:
        return Outcome(
            verdict=Verdict.POSTPONED, status=status, detail=f"it answered {code}{given}"
        )
    return Outcome(verdict=Verdict.UNANSWERED, detail="its answer neither accepts nor rejects")
