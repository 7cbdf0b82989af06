"""The command set of C-STORE, request and response (PS3.7 6.3.1, 9.3.1)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

C_STORE_RQ = 0x0001
C_STORE_RSP = 0x8001
NO_DATA_SET = 0x0101
ELEMENT = struct.Struct("<HHL")  #: implicit VR little endian, always (PS3.7 6.3.1)
P_DATA_TF = 0x04
LAST_COMMAND = 0x03  #: message control header: command, last fragment (PS3.8 E.2)

# Elements of group 0000
GROUP_LENGTH = 0x0000
AFFECTED_SOP_CLASS = 0x0002
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
RESPONDED_TO = 0x0120
PRIORITY = 0x0700
DATA_SET_TYPE = 0x0800
STATUS = 0x0900
AFFECTED_SOP_INSTANCE = 0x1000

HIGH = 1  #: Priority, PS3.7 9.3.1.1


class MalformedCommand(ValueError):
    """The bytes are no command set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What of a command set is needed; its UIDs as they came are in `elements`."""

    field: int
    has_data_set: bool
    elements: Mapping[int, bytes]

    @property
    def sop_class_uid(self) -> str:
        """Affected SOP Class UID."""
        return _uid(self.elements.get(AFFECTED_SOP_CLASS, b""))

    @property
    def sop_instance_uid(self) -> str:
        """Affected SOP Instance UID."""
        return _uid(self.elements.get(AFFECTED_SOP_INSTANCE, b""))

    @property
    def is_urgent(self) -> bool:
        """Whether its Priority is high; what is no priority is not."""
        return self.elements.get(PRIORITY) == _short(HIGH)


def parse(command_set: bytes) -> Command:
    """Read a command set.

    Raises
    ------
    MalformedCommand
        If it is cut short, or has no Command Field or Data Set Type.
    """
    elements: dict[int, bytes] = {}
    position = 0
    while position < len(command_set):
        if len(command_set) - position < ELEMENT.size:
            raise MalformedCommand("an element without its header")
        group, element, length = ELEMENT.unpack_from(command_set, position)
        position += ELEMENT.size
        if group != 0 or length > len(command_set) - position:
            raise MalformedCommand("an element of group 0000 within the command set expected")
        elements[element] = command_set[position : position + length]
        position += length
    return Command(
        field=_number(elements, COMMAND_FIELD),
        has_data_set=_number(elements, DATA_SET_TYPE) != NO_DATA_SET,
        elements=elements,
    )


def c_store_response(context_id: int, request: Command, status: int) -> bytes:
    """P-DATA-TF with the answer to a C-STORE request (PS3.7 Table 9.3-2)."""
    body = b"".join(
        (
            _element(AFFECTED_SOP_CLASS, request.elements.get(AFFECTED_SOP_CLASS, b"")),
            _element(COMMAND_FIELD, _short(C_STORE_RSP)),
            _element(RESPONDED_TO, request.elements.get(MESSAGE_ID, _short(0))),
            _element(DATA_SET_TYPE, _short(NO_DATA_SET)),
            _element(STATUS, _short(status)),
            _element(AFFECTED_SOP_INSTANCE, request.elements.get(AFFECTED_SOP_INSTANCE, b"")),
        )
    )
    command_set = _element(GROUP_LENGTH, struct.pack("<L", len(body))) + body
    size = len(command_set) + 2
    pdu = struct.pack(">BxLLBB", P_DATA_TF, size + 4, size, context_id, LAST_COMMAND)
    return pdu + command_set


def _number(elements: Mapping[int, bytes], element: int) -> int:
    value = elements.get(element, b"")
    if len(value) != 2:
        raise MalformedCommand(f"two bytes of (0000,{element:04X}) expected, got {len(value)}")
    return int.from_bytes(value, "little")


def _uid(value: bytes) -> str:
    return value.rstrip(b"\x00 ").decode("ascii", "replace")


def _short(value: int) -> bytes:
    return struct.pack("<H", value)


def _element(element: int, value: bytes) -> bytes:
    return ELEMENT.pack(0, element, len(value)) + value
