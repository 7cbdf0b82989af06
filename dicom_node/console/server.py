"""Serve the console until a signal."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn

import uvicorn

from config.settings import Settings
from dicom_node.assembly.resources import audit_of, existing_resources
from dicom_node.console.access.openid import check_libraries
from dicom_node.console.app import make_app
from dicom_node.console.context import Console
from dicom_node.console.current_settings import CurrentSettings
from dicom_node.errors import NodeError
from dicom_node.logs import log
from dicom_node.reception.stow.connections import BoundedListener
from dicom_node.reception.stow.server import HEAD_SECONDS, BoundedProtocol
from storage.console.login_tries import forget_failed_logins
from storage.errors import StorageError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
STOP_SECONDS = 5
HOUR_SECONDS = 3600  #: after which what was erased is gone from the scores in memory


def serve(config: Path) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises
    ------
    NodeError
        If the settings have no console.
    """
    current = CurrentSettings(config)
    settings = current()
    if not settings.console.port:
        raise NodeError("[console] port: expected a port, got 0: the console is off")
    if settings.console.oidc_issuer:
        check_libraries()
    resources = replace(existing_resources(settings), audit=audit_of(settings))
    signal.signal(signal.SIGTERM, _end)
    resources.sessions.follow()
    # through a proxy browsers come by https, wherever that ends
    is_secure = settings.console.certificate is not None or bool(settings.console.trusted_proxies)
    console = Console(
        sessions=resources.sessions,
        settings=current,
        is_secure=is_secure,
        ini=config,
        audit=resources.audit,
    )
    app = make_app(console, hosts=hosts_of(settings))
    family = socket.AF_INET6 if ":" in settings.console.bind else socket.AF_INET
    address = (settings.console.bind, settings.console.port)
    try:
        listening = socket.create_server(address, family=family)
    except OSError as fault:
        place = f"{settings.console.bind}:{settings.console.port}"
        raise NodeError(f"[console]: cannot listen on {place}: {fault.strerror}") from fault
    listener = BoundedListener.of(listening, _turned_away)
    bounds = {"open_connections": listener.connections, "head_seconds": HEAD_SECONDS}
    options = uvicorn.Config(
        app,
        loop="asyncio",
        http=type("Protocol", (BoundedProtocol,), bounds),
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        log_config=None,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_certfile=settings.console.certificate,
        ssl_keyfile=settings.console.key,
    )
    log.info("console_ready", url=address_of(settings))
    try:
        with _hourly_work(console):
            uvicorn.Server(options).run([listener])
    finally:
        resources.close()


@contextmanager
def _hourly_work(console: Console) -> Iterator[None]:
    """Read the stored scores before somebody asks for them; that and more anew each hour."""
    ended = Event()
    Thread(target=_work_hourly, args=[console, ended], daemon=True).start()
    yield
    ended.set()


def _work_hourly(console: Console, ended: Event) -> None:
    """Read the stored scores, and forget failed logins of long ago.

    A fault is told to whoever asks.
    """
    while not ended.is_set():
        with suppress(StorageError):
            console.scores.reload()
            with console.sessions.begin() as session:
                forget_failed_logins(session, console.clock())
        ended.wait(HOUR_SECONDS)


def _end(*_: object) -> NoReturn:
    """End as after Ctrl-C: uvicorn raises the signal again when it has stopped serving.

    Without it the process would be gone before what waits for the audit server is sent.
    """
    raise SystemExit(0)


def _turned_away(address: str, reason: str) -> None:
    log.debug("console_connection_ended", host=address, reason=reason)


def hosts_of(settings: Settings) -> frozenset[str]:
    """Names by which browsers may call the console."""
    bind = settings.console.bind
    return frozenset({*LOOPBACK, bind.lower(), *(name.lower() for name in settings.console.hosts)})


def address_of(settings: Settings) -> str:
    """Address that people open."""
    scheme = "https" if settings.console.certificate else "http"
    host = next(iter(settings.console.hosts), settings.console.bind)
    return f"{scheme}://{host}:{settings.console.port}/"
