"""Send C-STORE requests fast: pynetdicom negotiates and releases, this module sends.

pynetdicom 3 hands every PDU through two queues and copies it several times; its threads look for
work once in a millisecond. Here the thread that sends reads pieces of the file behind the headers
of PDUs, many at a time, writes them to the association's socket and reads the response from it.
The threads of pynetdicom are paused meanwhile (module `reactor_pause`); when they go on, they find
the association as they left it, or closed.

Terms of PS3.8 9.3 (PDU, PDV) and PS3.7 6.3, 9.3.1 (command set, C-STORE).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from io import BytesIO
from pathlib import Path
from typing import Protocol, cast

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from dicom_node.errors import AssociationBroken
from dicom_node.network.command_set import Command, MalformedCommand, c_store_request, parse
from dicom_node.network.file_meta import read_meta
from dicom_node.network.pynetdicom_internals.pdu import (
    COMMAND,
    DATA_SET,
    HEADERS,
    LAST,
    MAXIMUM_COMMAND,
    P_DATA_TF,
    PDU_HEADER,
    PDV_HEADER,
    Closed,
    Invalid,
    first_fragment,
    headers,
    receive_into,
)

BUFFER = 1 << 18  #: bytes written at once; no PDU is longer, even if the peer knows no limit
MESSAGE_ID = 1  #: one message at a time, so all have the same
ABORT_PDU = bytes.fromhex("07000000000400000000")  #: by the service user, PS3.8 9.3.8
ABORT_TYPE = 7
NO_LIMIT = 3600.0  #: seconds, where the association has no timeout
ABORT_SECONDS = 1.0  #: longest wait to send an A-ABORT


class Source(Protocol):
    """Bytes that are read piece by piece: a file, or a buffer."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the buffer, or less of it at the end."""
        ...


class FastSender:
    """Sends files over an established association whose threads are paused."""

    def __init__(self, assoc: Association) -> None:
        self._assoc = assoc
        self._wire = cast(AssociationSocket, assoc.dul.socket)
        self._socket = cast(socket.socket, self._wire.socket)
        self._seconds = float(assoc.dimse_timeout or NO_LIMIT)
        self._buffer = memoryview(bytearray(BUFFER))
        self._listening = True  #: whether the peer is there and expects the start of a PDU
        limit = int(assoc.acceptor.maximum_length or BUFFER)  # 0: no limit, PS3.8 D.1
        self._piece = min(limit - PDV_HEADER.size, BUFFER - HEADERS.size) & ~1
        self._contexts = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])): context.context_id
            for context in assoc.accepted_contexts
        }

    def store(self, path: Path) -> int | None:
        """Send a Part 10 file; return the status, None if there is no response.

        Without a response the association is at its end.

        Raises
        ------
        OSError, AttributeError, ValueError
            If the file cannot be read, is incomplete or does not fit what was negotiated.
        """
        with path.open("rb", buffering=0) as file, ExitStack() as on_failure:
            meta = read_meta(file)
            context_id = self._contexts.get((meta.sop_class_uid, meta.transfer_syntax_uid))
            if context_id is None:
                raise ValueError("expected a file of a presentation context that was accepted")
            request = c_store_request(
                sop_class_uid=meta.sop_class_uid,
                sop_instance_uid=meta.sop_instance_uid,
                message_id=MESSAGE_ID,
            )
            size = file.seek(0, os.SEEK_END) - file.seek(meta.end)
            on_failure.callback(self._break_off)
            try:
                self._send(
                    context_id, [(COMMAND, BytesIO(request), len(request)), (DATA_SET, file, size)]
                )
                command = self._read_response(context_id)
                if not command.answers(MESSAGE_ID, meta.sop_instance_uid):
                    raise Invalid("another message than the answer")
                status = command.status
            except (AssociationBroken, MalformedCommand):
                return None
            on_failure.pop_all()
            return status

    def _send(self, context_id: int, parts: Iterable[tuple[int, Source, int]]) -> None:
        """Write a message: command set and data set, each with kind, source and size in bytes."""
        end = 0
        for kind, source, size in parts:
            for start in range(0, size or 1, self._piece):
                length = min(self._piece, size - start)
                if end + HEADERS.size + length > BUFFER:
                    self._write(end)
                    end = 0
                control = kind if start + length < size else kind | LAST
                body = end + HEADERS.size
                self._buffer[end:body] = headers(context_id, control, length)
                end = body + length
                if source.readinto(self._buffer[body:end]) != length:
                    raise OSError("the file became shorter while it was sent")
        self._write(end)

    def _write(self, end: int) -> None:
        """Write PDUs from the buffer, which ends at `end`."""
        self._listening = False
        try:
            self._socket.settimeout(self._seconds)
            self._socket.sendall(self._buffer[:end])
        except OSError as fault:  # part of a PDU may be on its way
            raise Closed(f"the connection was lost: {type(fault).__name__}") from fault
        self._listening = True

    def _read_response(self, context_id: int) -> Command:
        """Read the response, in any number of fragments and PDUs."""
        deadline = time.monotonic() + self._seconds
        command_set, control = bytearray(), COMMAND
        while not control & LAST:
            rest = self._read_pdu(deadline)
            while rest:
                fragment, rest = first_fragment(rest)
                if control & LAST or fragment.context_id != context_id:
                    raise Invalid("more than an answer")
                control = fragment.control
                command_set += fragment.data
                if not control & COMMAND or len(command_set) > MAXIMUM_COMMAND:
                    raise Invalid("something else than a command set")
        self._socket.settimeout(self._seconds)
        return parse(bytes(command_set))

    def _read_pdu(self, deadline: float) -> memoryview:
        """Read a P-DATA-TF PDU; return what is behind its header."""
        kind, length = PDU_HEADER.unpack(self._read(PDU_HEADER.size, deadline))
        if kind == ABORT_TYPE:
            self._listening = False
            raise Closed("the peer aborted")
        if kind != P_DATA_TF or length > MAXIMUM_COMMAND:
            raise Invalid("something else than an answer")
        return self._read(length, deadline)

    def _read(self, count: int, deadline: float) -> memoryview:
        data = memoryview(bytearray(count))
        done = 0
        while done < count:
            received = receive_into(self._socket, data[done:], deadline)
            if not received:
                raise Closed("the connection was closed")
            done += received
        return data

    def _break_off(self) -> None:
        """Abort, if the peer expects a PDU, and close; pynetdicom then sees it as aborted."""
        with suppress(OSError):
            if self._listening:
                self._socket.settimeout(ABORT_SECONDS)
                self._socket.sendall(ABORT_PDU)
        self._assoc.is_aborted, self._assoc.is_established = True, False
        self._wire.close()
        self._socket.close()  # where it could not be shut down
