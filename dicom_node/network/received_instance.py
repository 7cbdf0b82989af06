"""A received instance: its data set, and its File Meta Information made from the association."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION

PREAMBLE = b"\x00" * 128 + b"DICM"  #: PS3.10 7.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInstance:
    """One instance as it arrives.

    Attributes
    ----------
    body
        The data set, as sent, to be iterated over once: it may still be on its way.
    urgent
        Whether its sender gives it high priority.
    transfer
        The association that it comes by; None for another way.
    """

    body: Iterable[bytes | memoryview]
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    urgent: bool = False
    transfer: Transfer | None = None

    @property
    def header(self) -> bytes:
        """Preamble, prefix and File Meta Information (PS3.10 7.1) of its file."""
        return part10_header(
            self.sop_class_uid,
            self.sop_instance_uid,
            self.transfer_syntax_uid,
            self.calling_ae,
        )


class Transfer(Protocol):
    """An association that instances come by."""

    @property
    def is_established(self) -> bool:
        """Whether it is open: neither released nor aborted."""
        ...

    def is_alive(self) -> bool:
        """Tell whether anybody still serves it."""
        ...


def part10_header(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, calling_ae: str
) -> bytes:
    """Make preamble, prefix and File Meta Information of a Part 10 file (PS3.10 Table 7.1-1).

    Written by hand, since pydicom takes as long for it as the disk for a slice.
    """
    elements = b"".join(
        (
            struct.pack("<HH2sHL", 2, 1, b"OB", 0, 2) + b"\x00\x01",
            _element(0x0002, b"UI", sop_class_uid, b"\x00"),
            _element(0x0003, b"UI", sop_instance_uid, b"\x00"),
            _element(0x0010, b"UI", transfer_syntax_uid, b"\x00"),
            _element(0x0012, b"UI", PYNETDICOM_IMPLEMENTATION_UID, b"\x00"),
            _element(0x0013, b"SH", PYNETDICOM_IMPLEMENTATION_VERSION, b" "),
            _element(0x0016, b"AE", calling_ae, b" "),
        )
    )
    return PREAMBLE + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(elements)) + elements


def _element(element: int, vr: bytes, text: str, padding: bytes) -> bytes:
    """Encode one element of group 0002, explicit VR little endian, of even length."""
    value = text.encode("ascii", "replace")
    value += padding * (len(value) % 2)
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value
