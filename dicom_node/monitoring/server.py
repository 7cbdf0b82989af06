"""HTTP server of metrics and health: GET only, few connections, on a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from config.network import MonitoringSettings
from dicom_node.health import PartFault

KEEP_ALIVE_SECONDS = 30
STOP_SECONDS = 1

Faults = Callable[[], Sequence[PartFault]]


def app_of(registry: CollectorRegistry, faults: Faults, role: Callable[[], str] = str) -> Starlette:
    """Make the pages.

    `/healthz` answers 200 as long as the process can answer; `/readyz` answers 503 while
    instances are refused, or while the self-test is not in order where the settings need it.
    Both name every part that is out of order, since when and why.

    Parameters
    ----------
    role
        As in :class:`dicom_node.health.Health`; not told of a node of its own.
    """

    def told(said: dict[str, object], found: Sequence[PartFault]) -> dict[str, object]:
        return {**said, **({"role": role()} if role() else {}), "faults": _told(found)}

    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    def health(_: Request) -> JSONResponse:
        return JSONResponse(told({"alive": True}, faults()))

    def ready(_: Request) -> JSONResponse:
        found = faults()
        is_ready = all(fault.is_ready for fault in found)
        return JSONResponse(told({"ready": is_ready}, found), 200 if is_ready else 503)

    return Starlette(
        routes=[
            Route("/metrics", metrics, methods=["GET"]),
            Route("/healthz", health, methods=["GET"]),
            Route("/readyz", ready, methods=["GET"]),
        ]
    )


def _told(faults: Sequence[PartFault]) -> list[dict[str, object]]:
    return [
        {
            "part": fault.part,
            "since": fault.since.isoformat(),
            "reason": fault.reason,
            "receiving": fault.receiving,
            "ready": fault.is_ready,
        }
        for fault in faults
    ]


Bounded = Callable[[socket.socket], tuple[socket.socket, type[asyncio.Protocol]]]
"""Makes of a listening socket one that admits few connections, and the protocol that ends those on
which no request comes in time."""


class MonitoringServer:
    """Serves the pages until it is stopped.

    Parameters
    ----------
    settings
        With a port.
    bounded
        Bounds what strangers can hold.

    Raises
    ------
    OSError
        If the address cannot be listened on.
    """

    def __init__(self, settings: MonitoringSettings, app: Starlette, bounded: Bounded) -> None:
        family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
        self._listening = socket.create_server((settings.bind, settings.port), family=family)
        self._config = uvicorn.Config(
            app,
            loop="asyncio",
            ws="none",
            lifespan="off",
            access_log=False,
            server_header=False,
            log_config=None,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.key,
        )
        self._bounded = bounded
        self.restart()

    @property
    def port(self) -> int:
        """Port that is listened on."""
        return int(self._listening.getsockname()[1])

    def is_alive(self) -> bool:
        """Say whether the thread that serves runs."""
        return self._thread.is_alive()

    def restart(self) -> None:
        """Start a thread that serves."""
        listener, self._config.http = self._bounded(self._listening)
        self._config.loaded = False
        self._server = uvicorn.Server(self._config)
        self._thread = threading.Thread(
            target=self._server.run,
            args=([listener],),
            name="monitoring",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Answer nothing further; wait a moment for what is being answered."""
        self._server.should_exit = True
        self._thread.join(2 * STOP_SECONDS)
        self._listening.close()
