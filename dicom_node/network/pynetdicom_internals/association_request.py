"""Make the AE titles of an A-ASSOCIATE-RQ readable, before it is parsed (PS3.8 9.3.2)."""

from __future__ import annotations

ASSOCIATE_RQ = 1  #: PDU type
CALLED, CALLING = slice(10, 26), slice(26, 42)  #: bytes of the titles, PS3.8 Table 9-11
TITLE_BYTES = 16
FIXED_PART = 74  #: bytes before the items, PS3.8 9.3.2
UNREADABLE = b"?"  #: stands for what no title may hold
BLANK = "its AE title is blank"
NOT_A_TITLE = "its AE title holds characters that a title may not have (PS3.5 6.2)"


def with_readable_titles(pdu: bytes) -> tuple[bytes, str]:
    """Replace the AE titles of an association request by readable ones.

    A title ends at its first NUL, as DCMTK reads it: old viewers pad with NUL in place of spaces.
    Titles are of the Basic G0 set of ISO 646, and not blank (PS3.8 9.3.2).

    Returns
    -------
    bytes
        The PDU, as long as before.
    str
        What is wrong with the calling title; empty if nothing is.
    """
    if len(pdu) < FIXED_PART:
        return pdu, ""  # the parser refuses it
    called, _ = _readable(pdu[CALLED])
    calling, fault = _readable(pdu[CALLING])
    return pdu[: CALLED.start] + called + calling + pdu[CALLING.stop :], fault


def _readable(title: bytes) -> tuple[bytes, str]:
    text = title.partition(b"\0")[0].strip(b" ")
    if not text:
        return UNREADABLE.ljust(TITLE_BYTES), BLANK
    plain = bytes(byte if 0x20 <= byte < 0x7F and byte != 0x5C else 0x3F for byte in text)
    return plain.ljust(TITLE_BYTES), "" if plain == text else NOT_A_TITLE
