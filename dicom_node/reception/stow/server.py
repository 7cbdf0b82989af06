"""HTTP server of the STOW-RS endpoint: one thread, bounded, drained like the DICOM receiver."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from dicom_node.network.foreign_protocols import HTTP, protocol_of
from dicom_node.reception.refusals import Refusal
from dicom_node.reception.store_handler import InstanceSink
from dicom_node.reception.stow.app import Limits, StowService
from dicom_node.reception.stow.connections import BoundedListener, OpenConnections
from dicom_node.reception.stow.instances import CALLING_AE
from pipeline.series.sop_classes import CT_CLASSES

SENT_NOTHING = "it connected, and hung up without sending anything"
CUT_OFF = "it hung up in the midst of its request"
LONGEST_START = 16  #: bytes by which another protocol is known
HEAD_SECONDS = 15.0  #: longest time without a request on an open connection, and for its head


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with a bound of the time in which no request runs on a connection.

    That holds from the connection to the end of the first request's head, and from each response
    to the end of the next head, or of a body that nobody reads any more.
    """

    open_connections: OpenConnections
    head_seconds: float
    _waiting: asyncio.TimerHandle | None = None
    _start = b""  #: first bytes that came
    _is_recorded = False
    _fault = ""  #: why no request came; empty if nobody knows

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As in uvicorn."""
        super().connection_made(cast(asyncio.Transport, transport))
        self._peer = transport.get_extra_info("peername")
        self.open_connections.explain(self._peer)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """As in uvicorn."""
        self._start = self._start or data[:LONGEST_START]
        super().data_received(data)
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """As in uvicorn, for what is no request; note what it is."""
        protocol = protocol_of(self._start)
        foreign = f"it speaks {protocol}, this port speaks HTTP"
        self._fault = foreign if protocol not in {"", HTTP} else "its request is no HTTP"
        super().send_400_response(msg)
        self._record_end()

    def _record_end(self) -> None:
        """Record why a connection came to no request; once."""
        if self.cycle is None and self._fault:
            self.open_connections.explain(self._peer, self._fault)
            self._fault = ""
            self._is_recorded = True

    def on_response_complete(self) -> None:
        """As in uvicorn."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """As in uvicorn."""
        self._stop_waiting()
        if not self._is_recorded:
            self._fault = self._fault or (CUT_OFF if self._start else SENT_NOTHING)
            self._record_end()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        """Hang up on a peer that sends no request."""
        self._fault = "it sent no request in time"
        self.transport.abort()

    def _watch(self) -> None:
        is_busy = self.cycle is not None and not self.cycle.response_complete
        self.open_connections.set_busy(self._peer, is_busy=is_busy)
        if is_busy:
            self._stop_waiting()
        elif self._waiting is None and not self.transport.is_closing():
            self._waiting = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def _record_end(sink: InstanceSink, address: str, reason: str) -> None:
    sink.record_refusal(
        Refusal(
            kind="association_broken",
            calling_ae=CALLING_AE,
            address=address,
            what="connection",
            reason=reason,
        )
    )


class StowReceiver:
    """Listens for STOW-RS requests.

    Parameters
    ----------
    maximum_requests
        Requests that may run at a time; others are answered 503.
    sop_classes
        Of the instances that are taken.
    head_seconds
        Longest time without a request on an open connection, and for the head of one.
    """

    def __init__(
        self,
        *,
        token: str,
        limits: Limits,
        maximum_requests: int,
        sop_classes: Sequence[str] = CT_CLASSES,
        head_seconds: float = HEAD_SECONDS,
    ) -> None:
        self._token, self._limits = token, limits
        self._sop_classes = sop_classes
        self._head_seconds = head_seconds
        self._maximum_requests = maximum_requests
        self._server: uvicorn.Server | None = None

    def listen(
        self,
        address: tuple[str, int],
        sink: InstanceSink,
        *,
        tls: ssl.SSLContext | None = None,
        drain_seconds: int = 20,
    ) -> tuple[str, int]:
        """Start to listen; return the address bound (port 0 asks for a free one)."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        listening = socket.create_server(address, family=family)
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it quotes what was sent
        self._threads = ThreadPoolExecutor(self._maximum_requests, thread_name_prefix="stow")
        service = StowService(
            sink=sink,
            limits=self._limits,
            threads=self._threads,
            places=threading.BoundedSemaphore(self._maximum_requests),
            token=self._token,
            sop_classes=self._sop_classes,
        )
        self._listening = listening
        self._turned_away = partial(_record_end, sink)
        self._config = self._configured(service, tls, drain_seconds)
        self.restart()
        host, port = listening.getsockname()[:2]
        return str(host), int(port)

    def is_alive(self) -> bool:
        """Say whether the thread that serves requests runs."""
        return self._thread.is_alive()

    def restart(self) -> None:
        """Start a thread that serves requests, in place of one that has ended."""
        listener = BoundedListener.of(self._listening, self._turned_away)
        bounds = {"open_connections": listener.connections, "head_seconds": self._head_seconds}
        self._config.http = type("Protocol", (BoundedProtocol,), bounds)
        self._config.loaded = False
        self._server = uvicorn.Server(self._config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="web", daemon=True
        )
        self._thread.start()

    def _configured(
        self, service: StowService, tls: ssl.SSLContext | None, drain_seconds: int
    ) -> uvicorn.Config:
        secured: dict[str, Any] = {"ssl_context_factory": lambda *_: tls} if tls else {}
        return uvicorn.Config(
            service.app(),
            loop="asyncio",
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=drain_seconds,
            **secured,
        )

    def retire(self) -> None:
        """Accept no more connections."""
        if self._server is not None:
            self._server.should_exit = True

    def drain(self, *, deadline: float) -> None:
        """Wait until running requests are answered, until `deadline` (monotonic) at most."""
        if self._server is None:
            return
        self.retire()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self._listening.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
