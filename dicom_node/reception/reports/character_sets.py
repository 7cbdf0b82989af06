"""Read the bytes of a message by its character set (MSH-18, HL7 2.5.1 2.15.9.18, table 0211)."""

from __future__ import annotations

import re

from dicom_node.reception.reports.refused import ErrorCode, fault

CODECS = {
    "": "",
    "ASCII": "",
    "88591": "latin-1",
    "885915": "iso8859-15",
    "UNICODEUTF8": "utf-8",
    "UNICODE": "utf-8",
    "UTF8": "utf-8",
    "ISO88591": "latin-1",
    "ISO885915": "iso8859-15",
    "ISOIR100": "latin-1",
    "WINDOWS1252": "cp1252",
    "CP1252": "cp1252",
}
"""Codec by the name of a set, without blanks and signs; empty: not said, or what many say who send
another."""
CHARACTER_SET = 17  #: place of MSH-18 among what its separators part, from 0


def decoded(message: bytes) -> str:
    """Read a message as text; where it says no set, as UTF-8, else as Windows-1252.

    Raises
    ------
    MessageRefused
        If its character set is not known, or its bytes are not of it.
    """
    header = re.split(rb"[\r\n]", message, maxsplit=1)[0].decode("latin-1")
    fields = header.split(header[3:4] or "|")
    named = (
        fields[CHARACTER_SET].split(header[5:6] or "~")[0] if len(fields) > CHARACTER_SET else ""
    )
    name = re.sub(r"[^A-Z0-9]", "", named.upper())
    if name not in CODECS:
        raise fault(
            "MSH-18: expected ASCII, 8859/1, 8859/15 or UNICODE UTF-8, got another set",
            ErrorCode.TABLE_VALUE_NOT_FOUND,
        )
    codec = CODECS[name]
    try:
        return message.decode(codec or "utf-8")
    except UnicodeDecodeError as wrong:
        if not codec:
            return message.decode("cp1252", errors="replace")
        raise fault(
            "MSH-18: expected bytes of the character set it names, got others",
            ErrorCode.DATA_TYPE_ERROR,
        ) from wrong
