"""Messages with signed reports, as an information system sends them."""

from __future__ import annotations

from collections.abc import Sequence

STUDY = "1.2.826.0.1.3680043.8.498.1"


def oru(
    *text: str,
    control_id: str = "MSG1",
    status: str = "F",
    study: str = STUDY,
    accession: str = "",
    patient: str = "PAT1",
    birth: str = "19500101",
    at: str = "20260302101500",
    kind: str = "ORU^R01^ORU_R01",
    character_set: str = "UNICODE UTF-8",
    more: Sequence[str] = (),
) -> str:
    """A report, a row of text each."""
    rows = [
        f"OBX|{number}|TX|18782-3^Findings^LN||{line}||||||{status}"
        for number, line in enumerate(text, start=1)
    ]
    lines = [
        f"MSH|^~\\&|RIS|HOSPITAL|AINODE||{at}||{kind}|{control_id}|P|2.5.1||||||{character_set}",
        f"PID|1||{patient}^^^HOSPITAL||DOE^JANE||{birth}|F",
        f"OBR|1||{accession}|71250^CT chest^C4||||||||||||||{accession}||||{at}||CT|{status}",
        *rows,
        *([f"ZDS|{study}^HOSPITAL^Application^DICOM"] if study else []),
        *more,
    ]
    return "".join(f"{line}\r" for line in lines)
