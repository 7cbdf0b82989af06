"""Upper layer of an association that receives C-STORE requests fast.

pynetdicom 3 reads 4 KiB at a time, hands every PDU through three queues and sleeps between two
polls of the socket. Here the thread of the upper layer reads ahead, hands the fragments of a data
set on as they arrive, as the stock path does, to `store_and_answer` of
`dicom_node.reception.store_handler`, and answers itself. Messages other than C-STORE requests, and
PDUs other than P-DATA-TF, are left to pynetdicom.

Terms of PS3.8 9.3 (PDU, PDV) and PS3.7 6.3, 9.3.1 (command set, C-STORE).
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext

from dicom_node.errors import AssociationBroken
from dicom_node.logs import log
from dicom_node.network.command_set import (
    C_ECHO_RQ,
    C_STORE_RQ,
    N_CREATE_RQ,
    N_SET_RQ,
    RESPONSE,
    Command,
    MalformedCommand,
    c_store_response,
    parse,
)
from dicom_node.network.foreign_protocols import DICOM, PROXY, protocol_of
from dicom_node.network.pynetdicom_internals.association_request import (
    ASSOCIATE_RQ,
    with_readable_titles,
)
from dicom_node.network.pynetdicom_internals.message_bounds import (
    MAXIMUM_DATA_SET,
    MAXIMUM_NEGOTIATION,
    MAXIMUM_NOTIFICATION,
    MAXIMUM_UNANSWERED,
    Pace,
    check_negotiation,
)
from dicom_node.network.pynetdicom_internals.pdu import (
    COMMAND,
    DATA_SET,
    LAST,
    MAXIMUM_COMMAND,
    P_DATA_TF,
    PDV_HEADER,
    Closed,
    Fragment,
    Invalid,
    first_fragment,
)
from dicom_node.network.pynetdicom_internals.proxied_server import SENT_NOTHING
from dicom_node.network.pynetdicom_internals.read_ahead import ReadAheadSocket
from dicom_node.network.received_instance import ReceivedInstance

if TYPE_CHECKING:  # it makes us
    from dicom_node.network.pynetdicom_internals.fast_store_scp import FastAssociation, FastServer

NAMING = {N_CREATE_RQ, N_SET_RQ}  #: requests that may name all instances of a study
LENIENCE = 1 << 20  #: bytes by which a PDU may exceed the length announced; some senders do
DATA_TRANSFER, CLOSING = "Sta6", "Sta13"  #: PS3.8 9.2.1: established; waiting for the end
BEFORE_REQUEST = {"Sta1", "Sta2"}  #: PS3.8 9.2.1: idle; awaiting an A-ASSOCIATE-RQ
CLOSED, INVALID = "Evt17", "Evt19"  #: PS3.8 Table 9-10
CUT_OFF = "it hung up in the midst of its association request"
NOT_A_BALANCER = (
    "it speaks the PROXY protocol of a load balancer, and its address is none of [node] balancers"
)
UNREADABLE = "its association request cannot be read"


class Interrupted(AssociationBroken):
    """A PDU other than P-DATA-TF arrived in the midst of a message; it is still to be read."""


class FastProvider(DULServiceProvider):
    """The upper layer of one association; C-STORE requests are served on its thread."""

    socket: ReadAheadSocket | None

    def __init__(self, assoc: FastAssociation, server: FastServer) -> None:
        super().__init__(assoc)
        self._store, self._limits, self._allowance = server.store, server.limits, server.allowance
        self._server = server
        self._unanswered = 0  #: requests that were handed to pynetdicom
        self._has_large = False  #: the latest of them is longer than most may be
        self._reactor_wakeup = assoc.reactor_wakeup
        self._wakeup: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wakeup_lock = threading.Lock()
        self._rest = memoryview(b"")  #: of the PDU whose values are being read
        self.fault = ""  #: why the association ended, or came to nothing; empty if nobody knows
        self.title_fault = ""  #: what is wrong with the AE title of the caller

    def answered(self) -> None:
        """Note that a request that was handed to pynetdicom has its answer."""
        self._unanswered -= 1

    def send_pdu(self, primitive: Any) -> None:  # noqa: ANN401  # typed in pynetdicom alone
        """As in pynetdicom, and wake the thread that sends it."""
        super().send_pdu(primitive)
        self._wake_up()

    def kill_dul(self) -> None:
        """As in pynetdicom, and wake the thread that is to end."""
        super().kill_dul()
        self._wake_up()

    def run_reactor(self) -> None:
        """As in pynetdicom, where an event out of order ends the thread and leaves the peer."""
        try:
            super().run_reactor()
        except InvalidEventError as fault:
            self._end(type(fault).__name__)
        except Exception as fault:  # noqa: BLE001  # thread border: the peer must not be left open
            self._end(f"{UNREADABLE} ({type(fault).__name__})")
        finally:
            with self._wakeup_lock:
                wakeup, self._wakeup = self._wakeup, None
                os.close(cast(int, wakeup))
            self._reactor_wakeup.set()
            if self.assoc.requestor.primitive is None:
                self.to_user_queue.put(cast(Any, None))  # as if the wait for a request had ended

    def _end(self, fault: str) -> None:
        """Close the connection, as pynetdicom does not when an action of its state machine fails.

        Nothing is sent, so that this cannot fail.
        """
        self.fault = fault
        if self.assoc.requestor.primitive is None:
            self._server.turned_away(str(self.assoc.requestor.address), fault)
        else:
            self._log_broken(fault)
        self.assoc.is_established = False
        self.assoc.is_aborted = True
        cast(ReadAheadSocket, self.socket).close()

    def _wake_up(self) -> None:
        """End the wait of `_data_transfer`."""
        with self._wakeup_lock:  # a closed descriptor may be somebody else's by now
            if self._wakeup is not None:
                os.eventfd_write(self._wakeup, 1)

    def _reset_wakeup(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(cast(int, self._wakeup))

    def _is_transport_event(self) -> bool:
        """As in pynetdicom: read what has arrived; messages other than C-STORE go to its queue."""
        self._reactor_wakeup.set()
        wire = self.socket
        state = self.state_machine.current_state
        if state == CLOSING and wire is not None:
            wire.close()  # whatever else arrived: answering it would go on for ever
            return True
        if state != DATA_TRANSFER or wire is None:
            return bool(super()._is_transport_event())
        try:
            return self._data_transfer(wire)
        except Interrupted:
            self._read_pdu_data()
        except Closed as fault:
            self._break_off(CLOSED, fault)
        except (Invalid, MalformedCommand) as fault:
            self._break_off(INVALID, fault)
        return True

    def _data_transfer(self, wire: ReadAheadSocket) -> bool:
        """Read message after message until there is something else to do; say whether any came."""
        has_read = False
        while not self._kill_thread:
            unanswered = max(self._unanswered, self.assoc.dimse.msg_queue.qsize())
            if unanswered >= (1 if self._has_large else MAXIMUM_UNANSWERED):
                self._reactor_wakeup.set()
                break
            if not self._rest and not wire.wait(cast(int, self._wakeup)):
                self._reset_wakeup()
                break
            self._read_message()
            has_read = True
        return has_read

    def _break_off(self, event: str, fault: Exception) -> None:
        """Note why an association ends, and let the state machine end it by an event.

        What ends before an association was requested is recorded by who sees that transition.
        """
        self.fault = self.fault or str(fault)
        if self.assoc.requestor.primitive is not None:
            self._log_broken(str(fault))
        self.event_queue.put(event)

    def _log_broken(self, reason: str) -> None:
        log.info("association_broken", host=self.assoc.requestor.address, reason=reason)

    def _read_pdu_data(self) -> None:
        """As in pynetdicom, but for PDUs of reasonable length only."""
        wire = cast(ReadAheadSocket, self.socket)
        is_first = self.state_machine.current_state in BEFORE_REQUEST
        try:
            length = self._first_length(wire) if is_first else wire.peek()[1]
            self._check_length(length)
            super()._read_pdu_data()
        except Closed as fault:
            self._break_off(CLOSED, fault)
        except Invalid as fault:
            self._break_off(INVALID, fault)

    def _first_length(self, wire: ReadAheadSocket) -> int:
        """Length of the first PDU, if it is an association request.

        Raises
        ------
        Closed
            If the peer hung up before; it says whether the peer had sent anything.
        Invalid
            If the peer speaks another protocol, or sent another PDU.
        """
        try:
            kind, length = wire.peek()
        except Closed as fault:
            if isinstance(fault.__cause__, ssl.SSLError):
                raise
            sent = CUT_OFF if wire.start else SENT_NOTHING
            raise Closed(sent) from fault
        protocol = protocol_of(wire.start)
        if protocol == PROXY:
            raise Invalid(NOT_A_BALANCER)
        if protocol not in {"", DICOM}:
            raise Invalid(f"it speaks {protocol}, this port speaks DICOM")
        if kind != ASSOCIATE_RQ:
            raise Invalid("it sent something else than an association request")
        return length

    def _decode_pdu(self, bytestream: bytearray) -> Any:  # noqa: ANN401  # typed in pynetdicom alone
        """As in pynetdicom, but for association requests of reasonable size, with odd titles too.

        pynetdicom takes what is raised here for a PDU that cannot be read.
        """
        if bytestream[0] != ASSOCIATE_RQ:
            return super()._decode_pdu(bytestream)
        try:
            check_negotiation(bytes(bytestream))
            readable, self.title_fault = with_readable_titles(bytes(bytestream))
            return super()._decode_pdu(bytearray(readable))
        except Invalid as fault:
            self.fault = str(fault)
            raise
        except Exception as fault:
            self.fault = f"{UNREADABLE} ({type(fault).__name__})"
            raise

    def _check_length(self, length: int) -> int:
        """Return the length of a PDU, if it is one that was negotiated.

        Raises
        ------
        Invalid
            If it is longer.
        """
        if self.state_machine.current_state != DATA_TRANSFER and length > MAXIMUM_NEGOTIATION:
            raise Invalid(f"an association request of at most {MAXIMUM_NEGOTIATION} bytes expected")
        if length > int(self.assoc.acceptor.maximum_length or 0) + LENIENCE:
            raise Invalid("a PDU longer than was agreed upon")
        return length

    def _read_message(self) -> None:
        """Read one message: serve a C-STORE request, hand anything else to pynetdicom.

        Raises
        ------
        AssociationBroken, MalformedCommand
            If the message does not come to its end, or is none.
        """
        fragments = [
            Fragment(
                context_id=part.context_id,
                control=part.control,
                data=memoryview(bytes(part.data)),
            )
            for part in self._fragments(COMMAND, limit=MAXIMUM_COMMAND)  # its bytes are overwritten
        ]
        command = parse(b"".join(fragment.data for fragment in fragments))
        accepted = {context.context_id: context for context in self.assoc.accepted_contexts}
        context = accepted.get(fragments[0].context_id)
        if command.field == C_STORE_RQ and command.has_data_set and context is not None:
            self._serve(context, command)
        else:
            self._hand_over(fragments, command)

    def _fragments(
        self, kind: int, *, context_id: int | None = None, limit: int
    ) -> Iterator[Fragment]:
        """Yield the fragments of a command set or of a data set, up to its last.

        Raises
        ------
        Invalid
            If they have more bytes than `limit`, headers included, or come too slowly.
        """
        size, pace = 0, Pace(self._limits.silent_seconds)
        while True:
            fragment = self._next_fragment()
            context_id = context_id or fragment.context_id
            size += len(fragment.data) + PDV_HEADER.size
            pace.check(size)
            if fragment.control & COMMAND != kind or fragment.context_id != context_id:
                raise Invalid("a fragment of another message")
            if size > limit:
                what = "command" if kind == COMMAND else "data"
                raise Invalid(f"a {what} set of at most {limit} bytes expected")
            yield fragment
            if fragment.control & LAST:
                return

    def _next_fragment(self) -> Fragment:
        """Read the next presentation data value, of this PDU or of the next."""
        wire = cast(ReadAheadSocket, self.socket)
        while not self._rest:
            kind, length = wire.peek()
            if kind != P_DATA_TF:
                raise Interrupted("another PDU in the midst of a message")
            self._rest = wire.pdu(self._check_length(length))
            self._idle_timer.restart()
        fragment, self._rest = first_fragment(self._rest)
        return fragment

    def _serve(self, context: PresentationContext, command: Command) -> None:
        """Have the instance of a C-STORE request kept while it arrives; answer."""
        limit = self._limits.object_bytes
        body = self._fragments(DATA_SET, context_id=context.context_id, limit=limit)
        instance = ReceivedInstance(
            sop_class_uid=command.sop_class_uid,
            sop_instance_uid=command.sop_instance_uid,
            transfer_syntax_uid=str(context.transfer_syntax[0]),
            calling_ae=str(self.assoc.requestor.ae_title).strip(),
            body=(fragment.data for fragment in body),
            urgent=command.is_urgent,
            transfer=self.assoc,
        )
        status = self._store(instance)
        for _ in body:  # the rest of what was refused half-way still arrives
            pass
        wire = cast(ReadAheadSocket, self.socket)
        wire.send(c_store_response(cast(int, context.context_id), command, status))
        self._idle_timer.restart()

    def _hand_over(self, fragments: list[Fragment], command: Command) -> None:
        """Hand a message to pynetdicom, fragment by fragment; it keeps all of them in memory.

        Raises
        ------
        Invalid
            If it has a data set that it cannot have, or one that is too long.
        """
        if command.field == C_ECHO_RQ and command.has_data_set:
            raise Invalid("a C-ECHO request without a data set expected")
        if not command.field & RESPONSE:
            self._unanswered += 1
        for fragment in fragments:
            self._hand_over_fragment(fragment)
        self._has_large = False
        if command.has_data_set:
            limit = MAXIMUM_NOTIFICATION if command.field in NAMING else MAXIMUM_DATA_SET
            with self._allowance.share() as share:
                for fragment in self._fragments(
                    DATA_SET, context_id=fragments[0].context_id, limit=limit
                ):
                    share.take(len(fragment.data))
                    self._hand_over_fragment(fragment)
                self._has_large = share.size > MAXIMUM_DATA_SET
        self._reactor_wakeup.set()

    def _hand_over_fragment(self, fragment: Fragment) -> None:
        primitive = P_DATA()
        value = bytes((fragment.control,)) + fragment.data
        primitive.presentation_data_value_list = [
            [fragment.context_id, value]  # type: ignore[list-item]  # a list is what it takes
        ]
        self.assoc.dimse.receive_primitive(primitive)
