"""Write a report as an unsolicited observation message, ORU^R01 of HL7 2.5.1 (7.3.1).

All of it is preliminary: nobody has signed it. A later report on the same images follows as a
message of its own, in order.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom.sr.coding import Code

from dicom_node.delivery.report_content import ReportContent, Statement
from dicom_node.network.hl7.message import LINE_END, SEPARATORS, field, formatted, message, segment

VERSION = "2.5.1"
PRELIMINARY = "P"  #: table 0085 and 0123
CONTROL_ID_LENGTH = 20  #: characters of MSH-10
SEXES = {"M": "M", "F": "F", "O": "O"}  #: DICOM PS3.3 C.2.1.1 to table 0001
STUDY_UID = Code("110180", "DCM", "Study Instance UID")
SERIES_UID = Code("112002", "DCM", "Series Instance UID")
OBJECT_UID = Code("110181", "DCM", "SOP Instance UID")
CHARACTER_SETS = {"utf-8": "UNICODE UTF-8", "latin-1": "8859/1"}  #: table 0211


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Who sends, and to whom (MSH-3 to MSH-6).

    Attributes
    ----------
    character_set
        A key of `CHARACTER_SETS`.
    """

    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    character_set: str = "utf-8"


def control_id(report: ReportContent) -> str:
    """Name a message (MSH-10): the same for the same report, however often it is sent."""
    return hashlib.sha256(report.sop_instance_uid.encode()).hexdigest()[:CONTROL_ID_LENGTH]


def oru(report: ReportContent, header: Header, now: datetime) -> bytes:
    """Write the message; what the character set does not have becomes '?'."""
    text = message(
        segment(
            "MSH",
            SEPARATORS,
            field(header.sending_application),
            field(header.sending_facility),
            field(header.receiving_application),
            field(header.receiving_facility),
            _time(now),
            "",
            field("ORU", "R01", "ORU_R01"),
            control_id(report),
            "P",
            VERSION,
            *[""] * 5,
            CHARACTER_SETS[header.character_set],
        ),
        _pid(report),
        _obr(report),
        *_observations(report),
    )
    return text.encode(header.character_set, errors="replace")


def _pid(report: ReportContent) -> str:
    patient = report.patient
    identifier = field(patient.id, "", "", patient.issuer)
    name = field(*patient.name)
    sex = SEXES.get(patient.sex, "U")
    return segment("PID", "1", "", identifier, "", name, "", field(patient.birth_date), sex)


def _obr(report: ReportContent) -> str:
    fields = [""] * 25
    fields[0] = "1"
    fields[1] = field(report.placer_order)
    fields[2] = field(report.filler_order or report.accession_number)
    fields[3] = _concept(report.procedure)
    fields[6] = _time(report.studied_at)
    fields[17] = field(report.accession_number)
    fields[21] = _time(report.made_at)
    fields[23] = "CT"  # table 0074: CAT scan
    fields[24] = PRELIMINARY
    return segment("OBR", *fields)


def _observations(report: ReportContent) -> Iterator[str]:
    """Write every statement, then the UIDs by which study, images and report are found."""
    rows = [
        _row(statement, sub_id)
        for statement, sub_id in zip(report.statements, _sub_ids(report.statements), strict=True)
    ]
    for concept, uid in (
        (STUDY_UID, report.study_instance_uid),
        (SERIES_UID, report.series_instance_uid),
        (OBJECT_UID, report.sop_instance_uid),
    ):
        if uid:
            rows.append(("ST", _concept(concept), "", field(uid), ""))
    for number, row in enumerate(rows, start=1):
        fields = [""] * 18
        fields[:6] = [str(number), *row]
        fields[10] = PRELIMINARY
        fields[13] = _time(report.made_at)
        fields[17] = field(f"{report.equipment} {report.software}".strip())
        yield segment("OBX", *fields)


def _sub_ids(statements: Sequence[Statement]) -> Iterator[str]:
    """Give each statement its sub-ID: of its group, and numbered where a concept comes again.

    No two rows have the same concept and sub-ID: a receiver would take the later for a correction.
    """
    names = [(one.group, one.name) for one in statements]
    several, so_far = Counter(names), Counter[tuple[int, Code]]()
    for group, name in names:
        so_far[group, name] += 1
        if several[group, name] > 1:
            yield f"{group}.{so_far[group, name]}"
        else:
            yield str(group) if group else ""


def _row(statement: Statement, sub_id: str) -> tuple[str, str, str, str, str]:
    """Give value type, concept, sub-ID, value and unit of a statement."""
    concept = _concept(statement.name)
    if statement.unit is not None:
        return "NM", concept, sub_id, field(statement.number), _concept(statement.unit)
    if statement.value is not None:
        return "CWE", concept, sub_id, _concept(statement.value), ""
    if LINE_END.search(statement.text):
        return "FT", concept, sub_id, formatted(statement.text), ""
    return "TX", concept, sub_id, field(statement.text), ""


def _concept(code: Code) -> str:
    return field(code.value, code.meaning, code.scheme_designator)


def _time(moment: datetime | None) -> str:
    """Write a time (TS): with its zone if that is known."""
    return "" if moment is None else f"{moment:%Y%m%d%H%M%S%z}"
