"""Receive C-STORE requests fast: pynetdicom negotiates, `fast_store_provider` reads and answers.

It depends on how pynetdicom's classes work together, so it is used with tested versions only
(`usable`); with others the stock path is taken, which answers the same.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable
from copy import deepcopy
from typing import Any, cast

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.transport import RequestHandler

from dicom_node.network.command_set import RESPONSE
from dicom_node.network.pynetdicom_internals.fast_store_provider import FastProvider
from dicom_node.network.pynetdicom_internals.message_bounds import (
    Allowance,
    AssociationLimits,
    first_to_go,
    hang_up,
)
from dicom_node.network.pynetdicom_internals.proxied_server import ProxiedServer
from dicom_node.network.pynetdicom_internals.read_ahead import TICK_SECONDS, ReadAheadSocket
from dicom_node.network.pynetdicom_internals.version import is_tested
from dicom_node.network.received_instance import ReceivedInstance

Store = Callable[[ReceivedInstance], int]  #: stores an instance, returns the C-STORE status
Handlers = list[tuple[Callable[..., Any], list[Any] | None]]  #: of a notification event
MAXIMUM_SILENT = 100  #: connections without an association request; the oldest make room
MADE_ROOM = "it asked for no association, and others needed its place"


def usable() -> bool:
    """Say whether the fast path can be used here."""
    return is_tested() and hasattr(os, "eventfd")


class Checkpoint(threading.Event):
    """Checkpoint that pynetdicom's reactor passes each round; here it waits until there is work."""

    def __init__(self, wakeup: threading.Event) -> None:
        super().__init__()
        self._wakeup = wakeup
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """As in pynetdicom, and then until the upper layer has work for it; at most a tick."""
        passed = super().wait(timeout)
        self._wakeup.wait(TICK_SECONDS)
        self._wakeup.clear()
        return passed


class FastAssociation(Association):
    """An acceptor's association with the fast upper layer."""

    def __init__(self, server: FastServer) -> None:
        super().__init__(server.ae, "acceptor")
        self._server = server
        self.reactor_wakeup = threading.Event()
        self.dul = provider = FastProvider(self, server)
        self.bind(evt.EVT_DIMSE_SENT, lambda event: _answered(event, provider))
        self._reactor_checkpoint = Checkpoint(self.reactor_wakeup)
        for timeout in ("acse_timeout", "dimse_timeout", "network_timeout"):
            setattr(self, timeout, getattr(server.ae, timeout))  # sets the timers of the new `dul`


def _answered(event: Event, provider: FastProvider) -> None:
    if event.message.command_set.CommandField & RESPONSE:
        provider.answered()


class FastHandler(RequestHandler):
    """Makes the association of a connection."""

    server: FastServer

    def _create_association(self) -> Association:
        """As in pynetdicom, with `FastAssociation` and `ReadAheadSocket`."""
        ae, server = self.ae, self.server
        assoc = FastAssociation(server)
        assoc.name = f"AcceptorThread@{id(assoc):x}"  # pynetdicom finds its threads by this
        assoc.set_socket(ReadAheadSocket(assoc, self.request, server.limits.silent_seconds))
        acceptor = assoc.acceptor
        acceptor.maximum_length = ae.maximum_pdu_size
        acceptor.ae_title = server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = ae.implementation_class_uid
        acceptor.implementation_version_name = ae.implementation_version_name
        acceptor.supported_contexts = deepcopy(server.contexts)
        assoc.requestor.address_info = self.remote
        for event, handlers in server._handlers.items():  # as RequestHandler does
            if event.is_intervention and handlers:
                assoc.bind(event, *handlers)
            elif isinstance(event, evt.NotificationEvent):
                for handler, arguments in cast(Handlers, handlers):
                    assoc.bind(event, handler, arguments)
        return assoc


class FastServer(ProxiedServer):
    """Listens for connections; their upper layers are fast, and do the TLS handshake themselves."""

    store: Store
    limits: AssociationLimits
    allowance: Allowance
    handshake_at_once = False

    def verify_request(self, request: object, client_address: object) -> bool:
        """Accept a connection; too many that have not requested an association make room."""
        silent = [assoc for assoc in self.active_associations if assoc.requestor.primitive is None]
        if len(silent) >= MAXIMUM_SILENT:
            oldest = first_to_go(silent)
            cast(FastProvider, oldest.dul).fault = MADE_ROOM
            hang_up(oldest)
        if len(silent) < 2 * MAXIMUM_SILENT:  # those that were hung up are ending still
            return super().verify_request(request, client_address)
        host = str(cast(tuple[Any, ...], client_address)[0])
        self.turned_away(host, "too many connections wait for their association request")
        return False


def make_server(
    ae: AE,
    address: tuple[str, int],
    store: Store,
    limits: AssociationLimits,
    handlers: list[evt.EventHandlerType],
    ssl_context: ssl.SSLContext | None = None,
) -> FastServer:
    """Make a fast server, as `AE.make_server` does; its `serve_forever` is yet to be called.

    Raises
    ------
    OSError
        If the address cannot be listened on.
    """
    contexts = ae.supported_contexts
    server = FastServer(ae, address, ae.ae_title, contexts, ssl_context, handlers, FastHandler)
    server.store, server.limits, server.allowance = store, limits, Allowance()
    ae._servers.append(server)  # as `AE.start_server` does
    return server
