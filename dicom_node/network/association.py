"""Open associations to peers, with bounded waits and a sentence why one failed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

import dicom_node.network.pynetdicom_internals.library_settings  # noqa: F401  # made by importing
from dicom_node.errors import NodeError
from dicom_node.network.pynetdicom_internals.message_bounds import (
    MAXIMUM_ANSWER,
    MessageBound,
    hang_up,
)
from dicom_node.network.pynetdicom_internals.pdu import SHORTEST
from dicom_node.network.tls import Credentials, client_context

AGAIN_SECONDS = 1.0  #: longest wait for a connection that is tried to learn why it failed
UNREACHABLE = (OSError, ValueError, OverflowError)
"""Errors of a connection that cannot be tried: no such name, an address or a title that is none."""
HUNG_UP = "aborted the association or did not answer"  #: to our proposal
PORTS = range(1, 1 << 16)  #: of TCP
GRACE_SECONDS = 2.0  #: beyond the peer's time-out, before we hang up on an answer that trickles


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An application entity that we call.

    Attributes
    ----------
    certified_name
        What its certificate must name; empty for its host.
    preamble
        Sent before anything else, TLS as well: a header, if it takes us for a load balancer.
    """

    ae_title: str
    host: str
    port: int
    timeout_seconds: float = 30.0
    tls: Credentials | None = None
    certified_name: str = ""
    preamble: bytes = b""


def associate(
    peer: Peer,
    contexts: list[PresentationContext],
    *,
    calling_ae: str,
    handlers: Sequence[evt.EventHandlerType] = (),
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> tuple[Association, str]:
    """Open an association to a peer; every wait is bounded.

    Parameters
    ----------
    handlers
        Event handlers, such as for requests of the peer.
    roles
        SCP/SCU role selection, where we are not the SCU only.

    Returns
    -------
    Association
        Of use only if it is established.
    str
        Why it is not established; else empty.
    """
    ae = AE(calling_ae)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = peer.timeout_seconds
    ae.connection_timeout = min(peer.timeout_seconds, 10.0)
    ae.requested_contexts = contexts
    try:  # a new context each time, so that renewed certificates are used
        context = client_context(peer.tls) if peer.tls else None
    except NodeError as fault:
        return Association(ae, "requestor"), str(fault)
    reached, opened, refusals = threading.Event(), list[Association](), list[str]()
    if context is not None:
        context.report = lambda _, reason: refusals.append(reason)
        context.preamble = peer.preamble

    def give_up() -> None:
        """Hang up on a peer whose answer trickles: each byte would extend the wait for it."""
        for slow in opened:
            hang_up(slow)

    watch = threading.Timer(peer.timeout_seconds + GRACE_SECONDS, give_up)
    watch.daemon = True
    watch.start()
    try:
        assoc = ae.associate(
            peer.host,
            _port(peer),
            ae_title=peer.ae_title,
            ext_neg=list(roles),
            tls_args=(context, peer.certified_name or peer.host) if context is not None else None,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _send_at_once),
                *_introducing(peer),
                (evt.EVT_DATA_SENT, _send_at_once),
                (evt.EVT_CONN_OPEN, lambda _: reached.set()),
                (evt.EVT_CONN_OPEN, lambda event: opened.append(event.assoc)),
                *MessageBound(MAXIMUM_ANSWER).handlers,
                *handlers,
            ],
        )
    except UNREACHABLE as fault:  # the name is looked up before anything else
        return Association(ae, "requestor"), f"{_place(peer)} cannot be reached: {_why(fault)}"
    finally:
        watch.cancel()
    if assoc.is_established:
        return assoc, _too_short(assoc, peer)
    if refusals:  # a refusal of our certificate comes behind the handshake of TLS 1.3
        return assoc, f"{_place(peer)} cannot be reached by TLS: {refusals[0]}"
    return assoc, _failure(assoc, peer, reached=reached.is_set())


def _too_short(assoc: Association, peer: Peer) -> str:
    """Abort where the peer takes no PDU that has room for a message; say so, else nothing."""
    limit = int(assoc.acceptor.maximum_length or SHORTEST)  # 0: no limit, PS3.8 D.1
    if limit >= SHORTEST:
        return ""
    assoc.abort()
    return f"{_place(peer)} takes PDUs of {limit} bytes at most: {SHORTEST} expected"


def _place(peer: Peer) -> str:
    return f"{peer.ae_title} at {peer.host}:{peer.port}"


def _port(peer: Peer) -> int:
    """Port of a peer; the library would end a thread of its own over one that is none."""
    if peer.port not in PORTS:
        raise ValueError("there is no such port")
    return peer.port


def _why(fault: OSError | ValueError | OverflowError) -> str:
    """Say why a connection could not even be tried."""
    if isinstance(fault, socket.gaierror | UnicodeError):
        return "its name is not known"
    if isinstance(fault, OSError):
        return fault.strerror or type(fault).__name__
    return str(fault)


def _send_at_once(event: Event) -> None:
    """Have PDUs sent at once, and those of the peer acknowledged at once.

    Otherwise each object waits 40 ms for an acknowledgement, ours or the peer's. Linux resets
    quick acknowledgement, so it is set again after each PDU.
    """
    wire = event.assoc.dul.socket
    if wire is not None and wire.socket is not None:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _introducing(peer: Peer) -> list[evt.EventHandlerType]:
    """Make what sends a preamble; where there is TLS its context does, before the handshake."""

    def introduce(event: Event) -> None:
        wire = event.assoc.dul.socket
        if wire is not None and wire.socket is not None:
            wire.socket.sendall(peer.preamble)

    return [(evt.EVT_CONN_OPEN, introduce)] if peer.preamble and peer.tls is None else []


def _failure(assoc: Association, peer: Peer, *, reached: bool) -> str:
    """Say why an association was not established (PS3.8 Table 9-21)."""
    where = _place(peer)
    if not reached:
        return f"{where} cannot be reached{_why_not_reached(peer)}"
    if assoc.is_rejected:
        primitive = assoc.acceptor.primitive
        reason = primitive.reason_str if primitive is not None else "no reason given"
        return f"{where} rejected the association: {reason}"
    if assoc.rejected_contexts and not assoc.accepted_contexts:
        return f"{where} accepted none of the presentation contexts"
    return f"{where} {HUNG_UP}"


def _why_not_reached(peer: Peer) -> str:
    """Say why no connection could be opened, by trying once more: pynetdicom keeps it to itself."""
    try:
        socket.create_connection((peer.host, peer.port), timeout=AGAIN_SECONDS).close()
    except ConnectionRefusedError:
        return f": nothing listens on port {peer.port} there"
    except TimeoutError:
        return ": it does not answer"
    except OSError as fault:
        return f": {_why(fault)}"
    return ""


def requestor(event: Event) -> str:
    """AE title of the peer that called."""
    return str(event.assoc.requestor.ae_title).strip()
