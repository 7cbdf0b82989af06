"""A storage SCP on a raw socket: any fragmentation, and answers no peer should send."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import MaximumLengthNotification

from dicom_node.network import command_set as cs
from dicom_node.network.association import Peer
from dicom_node.network.tls import Credentials
from tests.support.peers.pacs import LoopbackServer
from tests.support.peers.wire_client import ABORT, command, cut, even, packed, values

RELEASED = bytes.fromhex("06000000000400000000")
DATA, RELEASE_TYPE, ABORT_TYPE = 4, 5, 7


def response(
    *,
    message_id: int = 1,
    status: int = 0,
    field: int = cs.C_STORE_RSP,
    data: int = cs.NO_DATA_SET,
    instance: str = "",
) -> bytes:
    """Command set of an answer; it need not name the instance."""
    named = [(cs.AFFECTED_SOP_INSTANCE, even(instance))] if instance else []
    return command(
        (cs.COMMAND_FIELD, struct.pack("<H", field)),
        (cs.RESPONDED_TO, struct.pack("<H", message_id)),
        (cs.DATA_SET_TYPE, struct.pack("<H", data)),
        (cs.STATUS, struct.pack("<H", status)),
        *named,
    )


def answer(command_set: bytes, *, context: int = 1, size: int = 1000, per_pdu: int = 1) -> bytes:
    """P-DATA-TF PDUs with a command set, cut into values of a size."""
    return packed(values(context, 1, command_set, [size]), [per_pdu])


@dataclass
class Visit:
    """One association.

    Attributes
    ----------
    messages
        Command set and data set of each message, in order of arrival.
    context
        Presentation context of the latest message.
    longest
        Length of the longest PDU of data.
    end
        Type of the last PDU; 0 where the connection ended without one.
    """

    socket: socket.socket
    messages: list[tuple[cs.Command, bytes]] = field(default_factory=list)
    context: int = 1
    longest: int = 0
    end: int = 0

    def pdu(self) -> tuple[int, bytes]:
        """Read a PDU; its type is 0 at the end of the connection."""
        header = self._read(6)
        if len(header) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxL", header)
        return kind, self._read(length)

    def message(self) -> bool:
        """Read a C-STORE request; False if something else came: the end."""
        parts: dict[int, list[bytes]] = {0: [], 1: []}
        control = -1
        while control != 2:
            kind, body = self.pdu()
            if kind != DATA:
                self.end = kind
                return False
            self.longest = max(self.longest, len(body))
            size, self.context, control = struct.unpack_from(">LBB", body)
            assert size + 4 == len(body)
            assert control & 2 or size % 2 == 0, "values are even, but for the last (PS3.8 E.1)"
            parts[control & 1].append(body[6:])
        self.messages.append((cs.parse(b"".join(parts[1])), b"".join(parts[0])))
        return True

    def send(self, data: bytes, sizes: Sequence[int] = (1 << 16,)) -> None:
        for piece in cut(data, sizes):
            self.socket.sendall(piece)

    def serve(self, *answers: bytes) -> None:
        """Answer message after message with these, and with Success when they are used up."""
        waiting = list(answers)
        while self.message():
            success = answer(response(), context=self.context)
            self.send(waiting.pop(0) if waiting else success)
        self.released()

    def released(self) -> None:
        """Answer a release request, if that was the end."""
        if self.end == RELEASE_TYPE:
            self.send(RELEASED)

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count and (piece := self.socket.recv(count - len(data))):
            data += piece
        return bytes(data)


@dataclass
class WireScp(LoopbackServer):
    """Accepts every association, one after the other, and hands it to `behave`."""

    behave: Callable[[Visit], None] = Visit.serve
    maximum_length: int = 16384
    tls: ssl.SSLContext | None = None
    credentials: Credentials | None = None  #: of those who call it by TLS
    visits: list[Visit] = field(default_factory=list)
    aborts_at: tuple[str, ...] = ()  #: SOP classes; a proposal with one of them is aborted

    def start(self) -> int:
        self._server = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        return int(self._server.getsockname()[1])

    def stop(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._server.close()
        assert not self._thread.is_alive()

    def peer(self, seconds: float = 5.0) -> Peer:
        return Peer(
            ae_title="WIRE",
            host="localhost" if self.tls else "127.0.0.1",
            port=self.port,
            timeout_seconds=seconds,
            tls=self.credentials,
        )

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                connection.settimeout(10)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with suppress(OSError):
                    if self.tls:
                        connection = self.tls.wrap_socket(connection, server_side=True)
                    with connection:
                        visit = Visit(connection)
                        self._accept(visit)
                        self.visits.append(visit)
                        self.behave(visit)

    def _accept(self, visit: Visit) -> None:
        kind, body = visit.pdu()
        if any(sop_class.encode() in body for sop_class in self.aborts_at):
            visit.send(ABORT)
            raise ConnectionAbortedError
        request = A_ASSOCIATE_RQ()
        request.decode(struct.pack(">BxL", kind, len(body)) + body)
        primitive = request.to_primitive()
        primitive.result, primitive.result_source = 0, 1
        contexts = primitive.presentation_context_definition_list
        for context in contexts:
            context.result = 0
        primitive.presentation_context_definition_results_list = contexts
        for item in primitive.user_information:
            if isinstance(item, MaximumLengthNotification):
                item.maximum_length_received = self.maximum_length
        accepted = A_ASSOCIATE_AC()
        accepted.from_primitive(primitive)
        visit.send(accepted.encode())
