"""Read signed reports from an unsolicited observation message (ORU^R01, HL7 2.5.1 7.3.1).

Taken are final and corrected reports, and that one was canceled. Which study a report is about it
says by the Study Instance UID (ZDS-1, IPC-3, or an observation as in IHE RAD-28), else by the
numbers of its order: one of them is the accession number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from dicom_node.errors import NodeError
from dicom_node.network.hl7.message import Segment, read_segments
from dicom_node.reception.header import PLAIN_UID
from dicom_node.reception.reports.character_sets import decoded
from dicom_node.reception.reports.refused import ErrorCode, MessageRefused, fault, rejection

MAX_NUMBER = 64  #: characters of a number of an order or a patient; LO holds no more (PS3.5 6.2)
MAX_CONTROL_ID = 64  #: characters of MSH-10 that are kept; table 2.15.9.10 allows 20, many send 50
MAX_TEXT = 200_000  #: characters of the text of a report; a long one has ten thousand
MOST_IDS = 8  #: numbers of one patient, or of one order
MOST_REPORTS = 50  #: of one message
PRODUCTION = "P"  #: MSH-11, table 0103
KEPT_STATUS = frozenset({"F", "C", "X"})  #: OBR-25, table 0123: final, corrected, canceled
CANCELED, CORRECTED = "X", "C"
TEXT_STATUS = frozenset({"", "F", "C"})  #: OBX-11, table 0085, of rows that are read
KNOWN_STATUS = frozenset("CDFIONPRSUWX") | {""}  #: all of table 0085
EMPTY_OF_TEXT = (6, 7, 9, 10)  #: of OBX: units, range, probability, nature
AFTER_STATUS = range(12, 18)  #: of OBX, where a status stands that separators have moved
FLAG = re.compile(r"[A-Z<>]{0,3}")  #: OBX-8, table 0078
TEXT_TYPES = frozenset({"TX", "FT", "ST", "CWE", "CE"})  #: OBX-2, of rows that are read
STUDY_UIDS = frozenset({"110180", "113014"})  #: DCM, in OBX-3; the second as in IHE RAD-28
UID_CODES = STUDY_UIDS | {"112002", "110181"}  #: rows that name an object: no text
HEADINGS = {
    "IMP": "Impression",
    "19005-8": "Impression",
    "GDT": "Findings",
    "18782-3": "Findings",
    "11329-0": "History",
    "18785-6": "Indication",
    "18834-2": "Comparison",
    "55111-5": "Technique",
}
"""What OBX-3 calls a part of a report: suffix (2.5.1 7.1.4), or LOINC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The header of a message; attributes by its fields.

    Attributes
    ----------
    accepts
        MSH-15: empty where one answer is expected, of the application.
    """

    sender: tuple[str, str] = ("", "")
    receiver: tuple[str, str] = ("", "")
    control_id: str = ""
    version: str = "2.5.1"
    accepts: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReport:
    """One report of a message.

    Attributes
    ----------
    order
        What tells its order from others of the same sender.
    status
        F, C or X.
    study_instance_uids, numbers
        By which its study is found; numbers only where there is no UID.
    patient_ids, birth_date
        Of the patient; the date as DICOM has it.
    at
        When it got its status.
    text
        Read, and not kept.
    """

    order: str = field(repr=False)
    status: str
    study_instance_uids: tuple[str, ...]
    numbers: tuple[str, ...] = field(repr=False)
    patient_ids: tuple[str, ...] = field(repr=False)
    birth_date: str = field(repr=False)
    at: datetime | None
    text: str = field(repr=False)


def read_envelope(message: bytes) -> Envelope:
    """Read who sends a message from its header; empty where it has none."""
    line = re.split(rb"[\r\n]", message, maxsplit=1)[0].decode("latin-1")
    try:
        header = read_segments(line)[0]
    except NodeError:
        return Envelope()
    return Envelope(
        sender=(header.component(3), header.component(4)),
        receiver=(header.component(5), header.component(6)),
        control_id=_plain(header.component(10))[:MAX_CONTROL_ID],
        version=header.component(12) or "2.5.1",
        accepts=header.component(15).upper(),
    )


def read_message(message: bytes) -> Sequence[Segment]:
    """Read the segments of a message.

    Raises
    ------
    MessageRefused
        If it is no HL7 message, or of a character set that is not known.
    """
    try:
        return read_segments(decoded(message))
    except MessageRefused:
        raise
    except NodeError as wrong:
        raise fault(str(wrong), ErrorCode.REQUIRED_FIELD_MISSING) from wrong


def read_reports(segments: Sequence[Segment]) -> list[SignedReport]:
    """Read the final, corrected and canceled reports of a message; empty if it has only others.

    Raises
    ------
    MessageRefused
        If the message is of another kind, or a report lacks what it needs.
    """
    _check_header(segments[0])
    patients = [one for one in segments if one.name == "PID"]
    if len(patients) > 1:
        raise fault("PID: expected one patient, got more", ErrorCode.DATA_TYPE_ERROR)
    groups = list(_groups(segments))
    if not groups:
        raise fault("OBR: expected a report, got none", ErrorCode.REQUIRED_FIELD_MISSING)
    if len(groups) > MOST_REPORTS:
        raise fault(
            f"OBR: expected at most {MOST_REPORTS} reports in a message, got more",
            ErrorCode.DATA_TYPE_ERROR,
        )
    kept = [group for group in groups if group[0].component(25).upper() in KEPT_STATUS]
    whole = segments if len(groups) == 1 else None
    patient = patients[0] if patients else None
    all_reports = [_report(group, patient, whole or group[1], segments[0]) for group in kept]
    reports = _by_order(all_reports)
    if sum(len(one.text) for one in reports) > MAX_TEXT:
        raise fault(
            f"OBX-5: expected texts of at most {MAX_TEXT} characters, got longer ones",
            ErrorCode.DATA_TYPE_ERROR,
        )
    with_text = [one for one in reports if one.text.strip() or one.status == CANCELED]
    if kept and not with_text:
        raise fault(
            "OBX-5: expected the text of a report, got none", ErrorCode.REQUIRED_FIELD_MISSING
        )
    return with_text


def _check_header(header: Segment) -> None:
    if header.component(9) != "ORU":
        raise rejection("MSH-9: expected ORU^R01, got another", ErrorCode.UNSUPPORTED_MESSAGE_TYPE)
    if header.component(9, 2) not in {"R01", ""}:
        raise rejection("MSH-9: expected ORU^R01, got another", ErrorCode.UNSUPPORTED_EVENT_CODE)
    if header.component(11).upper() not in {PRODUCTION, ""}:
        raise rejection("MSH-11: expected P, got another", ErrorCode.UNSUPPORTED_PROCESSING_ID)
    if not header.component(12).startswith("2") and header.component(12):
        raise rejection("MSH-12: expected version 2, got another", ErrorCode.UNSUPPORTED_VERSION_ID)
    if not header.component(10):
        raise fault("MSH-10: expected a control ID, got none", ErrorCode.REQUIRED_FIELD_MISSING)


def _groups(segments: Sequence[Segment]) -> Iterator[tuple[Segment, list[Segment], Segment | None]]:
    """Yield each OBR with its observations, and the ORC before it."""
    common: Segment | None = None
    current: tuple[Segment, list[Segment], Segment | None] | None = None
    for segment in segments:
        if segment.name == "ORC":
            common = segment
        elif segment.name == "OBR":
            if current is not None:
                yield current
            current, common = (segment, [], common), None
        elif current is not None:
            current[1].append(segment)
    if current is not None:
        yield current


def _by_order(reports: Sequence[SignedReport]) -> list[SignedReport]:
    """Join the reports of one order, such as of the chest and the abdomen in one examination."""
    by_order: dict[str, list[SignedReport]] = {}
    for one in reports:
        by_order.setdefault(one.order, []).append(one)
    return [_joined(several) for several in by_order.values()]


def _joined(several: Sequence[SignedReport]) -> SignedReport:
    said = [one for one in several if one.status != CANCELED] or several
    times = [one.at for one in said if one.at is not None]
    return replace(
        said[0],
        status=CORRECTED if any(one.status == CORRECTED for one in said) else said[0].status,
        study_instance_uids=tuple(
            dict.fromkeys(uid for one in said for uid in one.study_instance_uids)
        )[:MOST_IDS],
        at=max(times, default=None),
        text="\n".join(one.text for one in said),
    )


def _report(
    group: tuple[Segment, list[Segment], Segment | None],
    patient: Segment | None,
    around: Sequence[Segment],
    header: Segment,
) -> SignedReport:
    """Read one report; `around` is where other segments may name its study."""
    request, below, common = group
    rows = [one for one in below if one.name == "OBX"]
    in_rows = _uids(one.component(5) for one in rows if one.component(3) in STUDY_UIDS)
    named = [one.component(1) for one in around if one.name == "ZDS"]
    named += [one.component(3) for one in around if one.name == "IPC"]
    uids = in_rows or _uids(named)
    numbers = _numbers(request, common, around)
    if not uids and not numbers:
        raise fault(
            "ZDS-1, OBR-3, OBR-18: expected a study or a number of its order, got none",
            ErrorCode.REQUIRED_FIELD_MISSING,
        )
    return SignedReport(
        order=numbers[0] if numbers else uids[0],
        status=request.component(25).upper(),
        study_instance_uids=uids,
        numbers=() if uids else numbers,
        patient_ids=_patient_ids(patient),
        birth_date=_birth_date(patient),
        at=_time(request.component(22)) or _time(header.component(7)),
        text=_text(rows),
    )


def _numbers(
    request: Segment, common: Segment | None, around: Sequence[Segment]
) -> tuple[str, ...]:
    """List the numbers of an order, the filler's first: one of them is the accession number."""
    named = [request.component(3), request.component(18)]
    named += [one.component(1) for one in around if one.name == "IPC"]
    if common is not None:
        named.append(common.component(3))
    named.append(request.component(2))
    return _few(named)


def _patient_ids(patient: Segment | None) -> tuple[str, ...]:
    return () if patient is None else _few([*patient.repetitions(3), patient.component(2)])


def _birth_date(patient: Segment | None) -> str:
    date = "" if patient is None else patient.component(7)[:8]
    return date if re.fullmatch(r"[0-9]{8}", date) else ""


def _few(named: Sequence[str]) -> tuple[str, ...]:
    stripped = (one.strip()[:MAX_NUMBER] for one in named)
    return tuple(dict.fromkeys(filter(None, stripped)))[:MOST_IDS]


def _uids(named: Sequence[str] | Iterator[str]) -> tuple[str, ...]:
    found = (one.strip() for one in named)
    return tuple(dict.fromkeys(one for one in found if PLAIN_UID.fullmatch(one)))[:MOST_IDS]


def _text(rows: Sequence[Segment]) -> str:
    """Join the text of a report, with a heading where a row says of which part it is.

    Raises
    ------
    MessageRefused
        If text holds separators that are not escaped.
    """
    lines: list[str] = []
    last = ""
    for row in rows:
        if row.component(2).upper() not in TEXT_TYPES or row.component(3) in UID_CODES:
            continue
        _check_row(row)
        if row.component(11).upper() in TEXT_STATUS:
            heading = _heading(row.component(3))
            lines += [f"{heading}:"] if heading and heading != last else []
            last = heading or last
            lines.append(row.text(5))
    return "\n".join(lines)


def _check_row(row: Segment) -> None:
    """Refuse a row whose text a separator may have cut that was not escaped."""
    if row.component(11).upper() not in KNOWN_STATUS:
        raise fault(
            "OBX-11: expected a status of table 0085, got another: is a separator in the text"
            " not escaped?",
            ErrorCode.TABLE_VALUE_NOT_FOUND,
        )
    is_moved = row.is_empty(11) and any(
        row.component(number).upper() in TEXT_STATUS - {""} for number in AFTER_STATUS
    )
    if (
        is_moved
        or not all(row.is_empty(number) for number in EMPTY_OF_TEXT)
        or not FLAG.fullmatch(row.component(8))
    ):
        raise fault(
            "OBX-6 to OBX-10: expected none of a text, got some: is a separator in the text not"
            " escaped?",
            ErrorCode.DATA_TYPE_ERROR,
        )
    if not row.is_well_escaped(5):
        raise fault(
            "OBX-5: expected escapes of HL7 2.7, got another: is the sign in the text not escaped?",
            ErrorCode.DATA_TYPE_ERROR,
        )


def _heading(identifier: str) -> str:
    code, _, suffix = identifier.partition("&")
    return HEADINGS.get(suffix.upper(), "") or HEADINGS.get(code, "")


def _time(text: str) -> datetime | None:
    """Read a time (TS) of at least minutes; without a zone it is of the node's own."""
    found = re.match(r"([0-9]{12})([0-9]{2})?(?:\.[0-9]+)?([+-][0-9]{4})?$", text)
    if found is None:
        return None
    try:
        moment = datetime.strptime(f"{found[1]}{found[2] or '00'}", "%Y%m%d%H%M%S")  # noqa: DTZ007  # its zone follows
        zone = datetime.strptime(found[3], "%z").tzinfo if found[3] else None
    except ValueError:
        return None
    try:
        return moment.replace(tzinfo=zone) if zone else moment.astimezone()
    except (OverflowError, OSError, ValueError):
        return None


def _plain(text: str) -> str:
    return "".join(one for one in text if one.isprintable())
