"""Write the acknowledgement of a message (HL7 2.5.1, 2.9 and 2.14.1)."""

from __future__ import annotations

import uuid
from datetime import datetime

from dicom_node.network.hl7.message import SEPARATORS, field, message, segment
from dicom_node.reception.reports.oru_reader import Envelope
from dicom_node.reception.reports.refused import MessageRefused

ENHANCED = frozenset(
    {"AL", "ER", "SU"}
)  #: MSH-15 of a sender that awaits an accept acknowledgement
CONTROL_ID_LENGTH = 20  #: characters of MSH-10
TABLE = "HL70357"


def acknowledgement(envelope: Envelope, refused: MessageRefused | None, now: datetime) -> bytes:
    """Answer a message: that it is kept, or why it is not.

    In enhanced mode the answer is the accept acknowledgement (CA, CE, CR); no further one follows.
    """
    mode = "C" if envelope.accepts in ENHANCED else "A"
    outcome = "A" if refused is None else "R" if refused.is_rejected else "E"
    segments = [
        segment(
            "MSH",
            SEPARATORS,
            *map(field, (*envelope.receiver, *envelope.sender)),
            f"{now:%Y%m%d%H%M%S%z}",
            "",
            field("ACK", "R01", "ACK"),
            uuid.uuid4().hex[:CONTROL_ID_LENGTH],
            "P",
            field(envelope.version),
        ),
        segment("MSA", f"{mode}{outcome}", field(envelope.control_id)),
    ]
    if refused is not None:
        code = field(str(int(refused.code)), str(refused), TABLE)
        segments.append(segment("ERR", "", "", code, "E"))
    return message(*segments).encode("latin-1", errors="replace")
