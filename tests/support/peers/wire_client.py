"""A C-STORE SCU on a raw socket: any fragmentation, and requests no sender should send."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from dicom_node.network import command_set as cs

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
VERIFICATION = "1.2.840.10008.1.1"
STORE_CONTEXT, ECHO_CONTEXT = 1, 3
ABORT = bytes.fromhex("07000000000400000000")
RELEASE = bytes.fromhex("05000000000400000000")

Value = tuple[int, int, bytes]  #: context, control, data: one presentation data value


def association_request(
    called: str = "AINODE",
    calling: str = "SCANNER",
    syntax: str = EXPLICIT,
    *,
    sop_class: str = CT,
) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    contexts = [build_context(sop_class, syntax), build_context(VERIFICATION)]
    contexts[0].context_id, contexts[1].context_id = STORE_CONTEXT, ECHO_CONTEXT
    primitive.presentation_context_definition_list = contexts
    length = MaximumLengthNotification()
    length.maximum_length_received = 16384
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = "1.2.3.4"
    primitive.user_information = [length, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def element(tag: int, value: bytes) -> bytes:
    return cs.ELEMENT.pack(0, tag, len(value)) + value


def command(*parts: tuple[int, bytes]) -> bytes:
    body = b"".join(element(*part) for part in parts)
    return element(0, struct.pack("<L", len(body))) + body


def even(uid: str) -> bytes:
    return uid.encode() + b"\x00" * (len(uid) % 2)


def store_request(instance: str, message_id: int) -> bytes:
    return command(
        (cs.AFFECTED_SOP_CLASS, even(CT)),
        (cs.COMMAND_FIELD, struct.pack("<H", cs.C_STORE_RQ)),
        (cs.MESSAGE_ID, struct.pack("<H", message_id)),
        (0x0700, b"\x02\x00"),
        (cs.DATA_SET_TYPE, b"\x01\x00"),
        (cs.AFFECTED_SOP_INSTANCE, even(instance)),
    )


def echo_request(message_id: int) -> bytes:
    return command(
        (cs.AFFECTED_SOP_CLASS, even(VERIFICATION)),
        (cs.COMMAND_FIELD, b"\x30\x00"),
        (cs.MESSAGE_ID, struct.pack("<H", message_id)),
        (cs.DATA_SET_TYPE, struct.pack("<H", cs.NO_DATA_SET)),
    )


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut into pieces of these sizes, over and over; one empty piece of nothing."""
    pieces, turn = [], 0
    while data:
        size = sizes[turn % len(sizes)]
        pieces.append(data[:size])
        data, turn = data[size:], turn + 1
    return pieces or [b""]


def values(context: int, kind: int, data: bytes, sizes: Sequence[int]) -> list[Value]:
    pieces = cut(data, sizes)
    last = len(pieces) - 1
    return [
        (context, kind | (2 if index == last else 0), piece) for index, piece in enumerate(pieces)
    ]


def pdu(chosen: Iterable[Value]) -> bytes:
    body = b"".join(
        struct.pack(">LBB", len(data) + 2, context, control) + data
        for context, control, data in chosen
    )
    return struct.pack(">BxL", 4, len(body)) + body


def packed(all_values: Sequence[Value], per_pdu: Sequence[int]) -> bytes:
    """P-DATA-TF PDUs that hold so many values each, over and over."""
    stream, turn, rest = b"", 0, list(all_values)
    while rest:
        count = per_pdu[turn % len(per_pdu)]
        stream += pdu(rest[:count])
        rest, turn = rest[count:], turn + 1
    return stream


@dataclass
class WireClient:
    """One connection."""

    address: tuple[str, int]
    tls: ssl.SSLContext | None = None
    seconds: float = 20.0

    def __enter__(self) -> WireClient:
        self.socket: socket.socket = socket.create_connection(self.address, timeout=self.seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            self.socket = self.tls.wrap_socket(self.socket, server_hostname="localhost")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def associate(self, syntax: str = EXPLICIT) -> int:
        """Ask for an association, for CT in a transfer syntax; return the type of the answer."""
        self.socket.sendall(association_request(syntax=syntax))
        return self.read_pdu()[0]

    def send(self, data: bytes, sizes: Sequence[int] = (1 << 16,)) -> None:
        for piece in cut(data, sizes):
            self.socket.sendall(piece)

    def read_pdu(self) -> tuple[int, bytes]:
        """Type and body of the next PDU; type 0 at the end of the connection."""
        header = self._read(6)
        if len(header) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxL", header)
        return kind, self._read(length)

    def answer(self) -> cs.Command:
        """Read the command set of the next message: one PDU with one value."""
        kind, body = self.read_pdu()
        assert kind == 4, kind
        return cs.parse(body[6:])

    def release(self) -> int:
        self.socket.sendall(RELEASE)
        return self.read_pdu()[0]

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                break
            data += piece
        return data
