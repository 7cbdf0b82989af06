"""Encode and parse the command sets of C-STORE, request and response (PS3.7 6.3.1, 9.3.1)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from dicom_node.network.pynetdicom_internals.pdu import COMMAND, LAST, headers

C_STORE_RQ = 0x0001
C_ECHO_RQ = 0x0030
N_SET_RQ, N_CREATE_RQ = 0x0120, 0x0140
RESPONSE = 0x8000  #: set in the Command Field of a response, PS3.7 E.1
C_STORE_RSP = 0x8001
NO_DATA_SET = 0x0101
DATA_SET_FOLLOWS = 0x0001  #: any value but NO_DATA_SET
ELEMENT = struct.Struct("<HHL")  #: implicit VR little endian, always (PS3.7 6.3.1)

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

HIGH, LOW = 1, 2  #: Priority, PS3.7 9.3.1.1


class MalformedCommand(ValueError):
    """The bytes are no command set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command set, as far as C-STORE needs it; `elements` has the values as they were sent."""

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

    def answers(self, message_id: int, sop_instance_uid: str) -> bool:
        """Say whether it is the response to our C-STORE request of this Message ID and object.

        It need not name the object, but shall name no other (PS3.7 9.3.1.2).
        """
        return (
            self.sop_instance_uid in {"", sop_instance_uid}
            and self.field == C_STORE_RSP
            and not self.has_data_set
            and self.elements.get(RESPONDED_TO) == _short(message_id)
        )

    @property
    def status(self) -> int:
        """Status of a response.

        Raises
        ------
        MalformedCommand
            If there is none.
        """
        return _number(self.elements, STATUS)

    @property
    def is_urgent(self) -> bool:
        """Whether its Priority is high; a missing or invalid Priority is not."""
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


def c_store_request(*, sop_class_uid: str, sop_instance_uid: str, message_id: int) -> bytes:
    """Command set of a C-STORE request of low priority (PS3.7 Table 9.3-1)."""
    return _command_set(
        _element(AFFECTED_SOP_CLASS, _even(sop_class_uid)),
        _element(COMMAND_FIELD, _short(C_STORE_RQ)),
        _element(MESSAGE_ID, _short(message_id)),
        _element(PRIORITY, _short(LOW)),
        _element(DATA_SET_TYPE, _short(DATA_SET_FOLLOWS)),
        _element(AFFECTED_SOP_INSTANCE, _even(sop_instance_uid)),
    )


def c_store_response(context_id: int, request: Command, status: int) -> bytes:
    """P-DATA-TF with the response to a C-STORE request (PS3.7 Table 9.3-2)."""
    command_set = _command_set(
        _element(AFFECTED_SOP_CLASS, request.elements.get(AFFECTED_SOP_CLASS, b"")),
        _element(COMMAND_FIELD, _short(C_STORE_RSP)),
        _element(RESPONDED_TO, request.elements.get(MESSAGE_ID, _short(0))),
        _element(DATA_SET_TYPE, _short(NO_DATA_SET)),
        _element(STATUS, _short(status)),
        _element(AFFECTED_SOP_INSTANCE, request.elements.get(AFFECTED_SOP_INSTANCE, b"")),
    )
    return headers(context_id, COMMAND | LAST, len(command_set)) + command_set


def _command_set(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return _element(GROUP_LENGTH, struct.pack("<L", len(body))) + body


def _number(elements: Mapping[int, bytes], element: int) -> int:
    value = elements.get(element, b"")
    if len(value) != 2:
        raise MalformedCommand(f"two bytes of (0000,{element:04X}) expected, got {len(value)}")
    return int.from_bytes(value, "little")


def _uid(value: bytes) -> str:
    return value.rstrip(b"\x00 ").decode("ascii", "replace")


def _even(uid: str) -> bytes:
    value = uid.encode("ascii")
    return value + bytes(len(value) % 2)


def _short(value: int) -> bytes:
    return struct.pack("<H", value)


def _element(element: int, value: bytes) -> bytes:
    return ELEMENT.pack(0, element, len(value)) + value
