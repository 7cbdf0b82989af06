"""Verification and Storage SCP: admit callers, and hand each received instance to the sink.

With a tested version of pynetdicom, `handle_store` is not called: the fast path reads C-STORE
requests from the socket itself (`dicom_node.network.pynetdicom_internals.fast_store_scp`,
`FastProvider._serve`). Both call `store_and_answer` of `dicom_node.reception.store_handler`: a
breakpoint there stops at every instance.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from functools import partial
from typing import cast

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE

import dicom_node.network.pynetdicom_internals.library_settings  # noqa: F401  # made by importing
from dicom_node.logs import log
from dicom_node.network.addresses.networks import Networks
from dicom_node.network.association import requestor
from dicom_node.network.command_set import HIGH
from dicom_node.network.pynetdicom_internals import fast_store_scp
from dicom_node.network.pynetdicom_internals.message_bounds import AssociationLimits, hang_up
from dicom_node.network.pynetdicom_internals.proxied_server import ProxiedServer
from dicom_node.network.pynetdicom_internals.version import TESTED
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.sop_classes import (
    PLAIN_SYNTAXES,
    STORAGE_COMMITMENT,
    VERIFICATION,
    WORKLIST_EVENT,
    transfer_syntaxes_of,
)
from dicom_node.reception.access import AllowedCallers
from dicom_node.reception.refusals import Refusal
from dicom_node.reception.store_handler import InstanceSink, store_and_answer
from pipeline.reasons import RefusedReason
from pipeline.series.sop_classes import CT_CLASSES

OUR_SERVICES = frozenset({VERIFICATION, STORAGE_COMMITMENT})
REPORTING = frozenset({STORAGE_COMMITMENT, WORKLIST_EVENT})
"""Services whose SCP opens an association to its SCU: we have both roles in them."""
TOO_MANY = (2, 3, 2)  #: transient, by the presentation layer, local limit exceeded (PS3.8 9.3.4)
NOT_RECOGNISED = (1, 1, 3)  #: permanent, by the service user, calling AE title not recognised
CALLED_UNKNOWN = (1, 1, 7)  #: permanent, by the service user, called AE title not recognised
AWAITING_REQUEST, AWAITING_ANSWER = "Sta2", "Sta3"  #: states before an association, PS3.8 9.2.1
ANSWERS = {"Evt7", "Evt8", "Evt15"}  #: PS3.8 Table 9-10: accepted, rejected, aborted by us
REQUEST = "Evt6"  #: an association request that can be read
ENDINGS = {
    "Evt16": "it aborted before its association was agreed on",
    "Evt17": "it hung up before its association was agreed on",
    "Evt18": "it asked for no association in time",
    "Evt19": "its association request cannot be read",
}
"""Events that end a connection before there is an association, PS3.8 Table 9-10, 9.2.2."""
NOBODY = Networks()
ACCEPT_SECONDS = 0.1  #: how soon the thread that accepts connections heeds a stop
ABORT_SECONDS = 1.0  #: longest wait for peers to hear that their associations are aborted
FEW_CLASSES = 8  #: a sender that proposes more proposes all it knows, whatever it has to send


def handle_store(event: Event, sink: InstanceSink) -> int:
    """Keep the instance as sent, then answer: Success means that it survives a power cut.

    Only of use where the fast path is not (see the module's docstring).
    """
    request = cast(C_STORE, event.request)
    instance = ReceivedInstance(
        sop_class_uid=str(request.AffectedSOPClassUID or ""),
        sop_instance_uid=str(request.AffectedSOPInstanceUID or ""),
        transfer_syntax_uid=str(event.context.transfer_syntax),
        calling_ae=requestor(event),
        body=[event.encoded_dataset(include_meta=False)],
        urgent=request.Priority == HIGH,
        transfer=event.assoc,
    )
    return store_and_answer(sink, instance)


def handle_requested(event: Event, current: Callable[[], AllowedCallers], most: int) -> None:
    """Reject callers that are not allowed, and more than `most` associations of one address.

    Parameters
    ----------
    current
        Gives those who may call now.

    Notes
    -----
    Reasons are those of PS3.8 Table 9-21.
    """
    assoc, callers = event.assoc, current()
    request = cast(A_ASSOCIATE, assoc.requestor.primitive)
    # pynetdicom would set it a moment later
    assoc.requestor.ae_title = str(request.calling_ae_title).strip()
    address = assoc.requestor.address
    if _title_fault(assoc) or not callers.may_call(assoc.requestor.ae_title, str(address)):
        _reject(assoc, NOT_RECOGNISED)
    elif sum(one.requestor.address == address for one in assoc.ae.active_associations) > most:
        _reject(assoc, TOO_MANY)


def _title_fault(assoc: Association) -> str:
    """Say what is wrong with the AE title of a caller; only the fast path can tell."""
    return str(getattr(assoc.dul, "title_fault", ""))


def _reject(assoc: Association, reason: tuple[int, int, int]) -> None:
    assoc.acse.send_reject(*reason)
    assoc.is_rejected = True
    evt.trigger(assoc, evt.EVT_REJECTED, {})
    assoc.kill()  # waits until the rejection is sent


def handle_accepted(event: Event, sink: InstanceSink, taken: Set[str]) -> None:
    """Record the presentation contexts that were refused in an accepted association.

    Many senders propose every SOP class there is, whatever they have to send: such a list is
    recorded as one refusal. A short list says what the sender has: it is recorded class by class.

    Parameters
    ----------
    taken
        SOP Class UIDs that are taken, in some transfer syntaxes.
    """
    calling_ae, address = requestor(event), str(event.assoc.requestor.address)
    log.debug("association_accepted", calling_ae=calling_ae)

    def refuse(what: str, reason: RefusedReason) -> None:
        sink.record_refusal(
            Refusal(
                kind="context_refused",
                calling_ae=calling_ae,
                address=address,
                what=what,
                reason=reason.value,
            )
        )

    refused = sorted({str(context.abstract_syntax) for context in event.assoc.rejected_contexts})
    if len(refused) > FEW_CLASSES:
        refuse(f"{len(refused)} SOP classes at once", RefusedReason.PROPOSES_MORE_THAN_WE_TAKE)
        return
    for uid in refused:
        known = uid in taken | OUR_SERVICES
        refuse(
            UID(uid).name,
            RefusedReason.TRANSFER_SYNTAX_NOT_SUPPORTED
            if known
            else RefusedReason.SOP_CLASS_NOT_ACCEPTED,
        )


def handle_rejected(
    event: Event, sink: InstanceSink, current: Callable[[], AllowedCallers]
) -> None:
    """Record a rejected association: wrong AE title, unknown caller, or too many associations."""
    sink.record_refusal(
        Refusal(
            kind="association_rejected",
            calling_ae=requestor(event),
            address=str(event.assoc.requestor.address),
            what="association",
            reason=_why_rejected(event.assoc, current()),
        )
    )


def _why_rejected(assoc: Association, callers: AllowedCallers) -> str:
    """Say why an association was rejected, such that the person at the caller can mend it."""
    answer = assoc.acceptor.primitive
    if answer is None:
        return "no reason given"
    code = (answer.result, answer.result_source, answer.diagnostic)
    reason = str(answer.reason_str)
    if code == NOT_RECOGNISED:
        title, address = str(assoc.requestor.ae_title), str(assoc.requestor.address)
        return f"{reason}: {_title_fault(assoc) or callers.why_not(title, address)}"
    if code == CALLED_UNKNOWN:
        called = str(cast(A_ASSOCIATE, assoc.requestor.primitive).called_ae_title).strip()
        return f"{reason}: it called {called}, this node is {assoc.acceptor.ae_title.strip()}"
    return reason


def handle_transition(event: Event, sink: InstanceSink) -> None:
    """Record a connection that ends before its association is accepted or rejected."""
    state, cause = event.current_state, event.fsm_event
    if state == AWAITING_REQUEST:
        is_end = event.next_state != AWAITING_ANSWER
    else:
        is_end = state == AWAITING_ANSWER and cause not in ANSWERS
    if not is_end:
        return
    fault = str(getattr(event.assoc.dul, "fault", "")) or ENDINGS.get(cause, "")
    if state == AWAITING_REQUEST and cause == REQUEST:
        fault = "it speaks a version of the DICOM upper layer other than 1"
    _record_end(
        sink,
        str(event.assoc.requestor.address),
        fault or "it sent something else than an association request",
        calling_ae=requestor(event) if state == AWAITING_ANSWER else "",
    )


def _record_end(sink: InstanceSink, address: str, reason: str, *, calling_ae: str = "") -> None:
    sink.record_refusal(
        Refusal(
            kind="association_broken",
            calling_ae=calling_ae,
            address=address,
            what="connection",
            reason=reason,
        )
    )


def handle_aborted(event: Event) -> None:
    """Log an association that was aborted, if nobody has logged why it broke."""
    assoc = event.assoc
    if getattr(assoc.dul, "fault", "") or assoc.requestor.primitive is None:
        return
    silent = assoc.dul.idle_timer_expired()
    log.info(
        "association_broken",
        calling_ae=requestor(event),
        host=str(assoc.requestor.address),
        reason="it was silent for too long" if silent else "it was aborted",
    )


class Acceptor(AE):
    """An AE whose limit of associations counts those that were requested, not connections.

    Connections without an A-ASSOCIATE-RQ do not count, so port scans cannot block modalities.
    """

    @property
    def active_associations(self) -> list[Association]:
        """As in pynetdicom, without connections that have not requested an association."""
        return [assoc for assoc in super().active_associations if assoc.requestor.primitive]


class Receiver:
    """Listens for DICOM associations.

    Parameters
    ----------
    callers
        Who may call.
    require_called_ae
        Whether callers must know our AE title.
    sop_classes
        Of the instances that are taken.
    notified
        SOP classes of the notifications and events that are taken.
    """

    def __init__(
        self,
        *,
        ae_title: str,
        callers: AllowedCallers,
        require_called_ae: bool,
        limits: AssociationLimits,
        sop_classes: Sequence[str] = CT_CLASSES,
        notified: Sequence[str] = (),
    ) -> None:
        self._taken = frozenset((*sop_classes, *notified))
        self._ae = ae = Acceptor(ae_title)
        self._callers, self._limits = callers, limits
        ae.require_called_aet = require_called_ae
        ae.maximum_associations = limits.associations
        ae.maximum_pdu_size = limits.pdu_bytes
        ae.network_timeout = ae.dimse_timeout = limits.silent_seconds
        ae.acse_timeout = min(limits.silent_seconds, limits.request_seconds)
        ae.add_supported_context(VERIFICATION)
        for sop_class in (STORAGE_COMMITMENT, *notified):
            reports = sop_class in REPORTING  # to us: its SCP calls its SCU
            ae.add_supported_context(
                sop_class, list(PLAIN_SYNTAXES), scu_role=reports or None, scp_role=reports or None
            )
        for sop_class in sop_classes:
            ae.add_supported_context(sop_class, list(transfer_syntaxes_of(sop_class)))
        self._server: ProxiedServer | None = None
        self._thread: threading.Thread | None = None

    def take(self, callers: AllowedCallers, *, require_called_ae: bool) -> None:
        """Admit other callers from now on; open associations stay."""
        self._callers = callers
        self._ae.require_called_aet = require_called_ae

    def _current_callers(self) -> AllowedCallers:
        return self._callers

    def listen(
        self,
        address: tuple[str, int],
        sink: InstanceSink,
        *,
        fast: bool = True,
        tls: ssl.SSLContext | None = None,
        balancers: Networks = NOBODY,
        services: Sequence[evt.EventHandlerType] = (),
    ) -> tuple[str, int]:
        """Start to listen; return the address bound (port 0 asks for a free one).

        Parameters
        ----------
        fast
            Whether the fast path is used, where it can be.
        tls
            Context of TLS connections; None for plain ones.
        balancers
            Load balancers that begin each connection with the address of its sender.
        services
            Handlers of services beside storage.
        """
        handlers: list[evt.EventHandlerType] = [
            (
                evt.EVT_REQUESTED,
                handle_requested,
                [self._current_callers, self._limits.of_one_address],
            ),
            (evt.EVT_C_STORE, handle_store, [sink]),
            (evt.EVT_ACCEPTED, handle_accepted, [sink, self._taken]),
            (evt.EVT_REJECTED, handle_rejected, [sink, self._current_callers]),
            (evt.EVT_FSM_TRANSITION, handle_transition, [sink]),
            (evt.EVT_ABORTED, handle_aborted),
            *services,
        ]
        make = self._fast_server if fast and self._fast_usable() else self._stock_server
        self._server = server = make(address, sink, handlers, tls)
        server.turned_away, server.balancers = partial(_record_end, sink), balancers
        self.restart()
        host, port = cast(socket.socket, server.socket).getsockname()[:2]
        return str(host), int(port)

    def _fast_server(
        self,
        address: tuple[str, int],
        sink: InstanceSink,
        handlers: list[evt.EventHandlerType],
        tls: ssl.SSLContext | None,
    ) -> ProxiedServer:
        """Make a server with the fast path."""
        store = partial(store_and_answer, sink)
        return fast_store_scp.make_server(self._ae, address, store, self._limits, handlers, tls)

    def _stock_server(
        self,
        address: tuple[str, int],
        _: InstanceSink,
        handlers: list[evt.EventHandlerType],
        tls: ssl.SSLContext | None,
    ) -> ProxiedServer:
        """Make a server whose associations are pynetdicom's own."""
        server = self._ae.make_server(
            address, ssl_context=tls, evt_handlers=handlers, server_class=ProxiedServer
        )
        return cast(ProxiedServer, server)  # pynetdicom says: or its own

    def is_alive(self) -> bool:
        """Say whether the thread that accepts connections runs."""
        return self._thread is not None and self._thread.is_alive()

    def restart(self) -> None:
        """Start a thread that accepts connections, in place of one that has ended."""
        server = cast(ProxiedServer, self._server)
        self._thread = threading.Thread(
            target=server.serve_forever, args=(ACCEPT_SECONDS,), name="AcceptorServer", daemon=True
        )
        self._thread.start()

    def _fast_usable(self) -> bool:
        """Say whether the fast path can be used; warn if it cannot."""
        usable = fast_store_scp.usable()
        if not usable:
            log.warning("fast_receive_unusable", tested_with=", ".join(TESTED))
        return usable

    def drain(self, *, seconds: float, wait: Callable[[float], None] = time.sleep) -> None:
        """Accept no more associations; wait for the open ones, at most so long, then abort them.

        All are aborted at the same time: each waits until its peer has heard of it.
        """
        if self._server is None:
            return
        with suppress(ValueError):  # pynetdicom's: only `AE.start_server` lets the AE know of it
            self._server.shutdown()
        deadline = time.monotonic() + seconds
        while self._ae.active_associations and time.monotonic() < deadline:
            wait(0.05)
        for association in self._ae.active_associations:
            threading.Thread(target=association.abort, name="abort", daemon=True).start()
        deadline = time.monotonic() + ABORT_SECONDS
        while self._ae.active_associations and time.monotonic() < deadline:
            wait(0.05)
        for association in self._ae.active_associations:
            hang_up(association)
