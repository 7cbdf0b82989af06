"""Recognise what a peer speaks in place of the protocol of the port, by its first bytes."""

from __future__ import annotations

TLS, HTTP, DICOM = "TLS", "HTTP", "DICOM"
PROXY = "the PROXY protocol of a load balancer"
LEAST = 2  #: bytes by which a protocol may be known

STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x16\x03", TLS),  # a handshake record, RFC 8446 5.1
    *((method, HTTP) for method in (b"GET ", b"POST ", b"HEAD ", b"PUT ", b"OPTIONS ", b"PRI * ")),
    *((method, HTTP) for method in (b"DELETE ", b"PATCH ", b"CONNECT ", b"TRACE ", b"PROPFIND ")),
    (b"SSH-", "SSH"),
    (b"PROXY ", PROXY),
    (b"\r\n\r\n\0\r\nQUIT\n", PROXY),
    (b"\x0bMSH", "HL7"),
    (b"\x01\0", DICOM),  # an A-ASSOCIATE-RQ, PS3.8 9.3.2
)
"""First bytes, and what begins so."""


def protocol_of(start: bytes) -> str:
    """Name the protocol that begins with these bytes; empty if it is none that is known."""
    if len(start) < LEAST:
        return ""
    return next((name for known, name in STARTS if start.startswith(known[: len(start)])), "")
