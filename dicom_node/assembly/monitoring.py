"""Put metrics and health together for a running node, and serve them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from functools import partial

import httpx
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from config.settings import Settings
from dicom_node import logs
from dicom_node.analysis.configuration import model_of
from dicom_node.assembly.security import certificate_ends_of
from dicom_node.errors import NodeError
from dicom_node.health import read_condition
from dicom_node.monitoring.event_metrics import EventMetrics
from dicom_node.monitoring.server import MonitoringServer, app_of
from dicom_node.monitoring.state_collector import Sources, StateCollector
from dicom_node.reception.stow.connections import BoundedListener
from dicom_node.reception.stow.server import HEAD_SECONDS, BoundedProtocol
from dicom_node.resources import Resources
from storage.files.disk import GIGABYTE, disk_free
from storage.files.self_test_mark import is_of_self_test
from storage.standing import Standing, standing

METRICS_SECONDS = 10.0  #: that a running node may take to answer with its metrics
LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # asked, not listened on
"""Address to ask, where a port is open on all of this machine."""


def counting(settings: Settings, resources: Resources) -> CollectorRegistry:
    """Count the events of the log from now on, if anybody is to be told of them."""
    registry = CollectorRegistry()
    if settings.monitoring.port:
        own = partial(is_of_self_test, resources.identity_key)
        logs.OBSERVERS.append(EventMetrics(registry, own).take)
    return registry


def start_monitoring(
    settings: Settings,
    resources: Resources,
    registry: CollectorRegistry,
    destinations: Callable[[], Sequence[str]],
    expires: Callable[[], date | None],
) -> MonitoringServer:
    """Serve what is counted, the present state, and the process.

    Parameters
    ----------
    registry
        Of what is counted already.
    destinations
        Names of those that are delivered to now.
    expires
        As `Sources` has it.

    Raises
    ------
    NodeError
        If the address cannot be listened on.
    """
    sources = replace(sources_of(settings, resources, destinations), expires=expires)
    registry.register(StateCollector(sources))
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    wanted = settings.monitoring
    try:
        app = app_of(registry, resources.health.snapshot, lambda: resources.health.role)
        return MonitoringServer(wanted, app, bounded)
    except OSError as fault:
        place = f"{wanted.bind}:{wanted.port}"
        raise NodeError(f"[monitoring]: cannot listen on {place}: {fault.strerror}") from fault


def bounded(listening: socket.socket) -> tuple[socket.socket, type[asyncio.Protocol]]:
    """Bound connections, and the time in which no request runs on one, as for STOW-RS."""
    listener = BoundedListener.of(listening, _turned_away)
    bounds = {"open_connections": listener.connections, "head_seconds": HEAD_SECONDS}
    return listener, type("Protocol", (BoundedProtocol,), bounds)


def _turned_away(address: str, reason: str) -> None:
    logs.log.debug("monitoring_connection_ended", host=address, reason=reason)


def sources_of(
    settings: Settings, resources: Resources, destinations: Callable[[], Sequence[str]]
) -> Sources:
    """Tell where the present state is read."""

    def read_standing() -> Standing:
        with resources.sessions.reading() as session:
            return standing(session, destinations(), resources.clock())

    model = model_of(settings)
    return Sources(
        destinations=destinations,
        standing=read_standing,
        faults=resources.health.snapshot,
        role=lambda: resources.health.role,
        free_bytes=lambda: disk_free(resources.folder.root),
        reserve_bytes=int(settings.storage.reserve_gb * GIGABYTE),
        self_test_seconds=settings.selftest.every_hours * 3600,
        certificates=lambda: certificate_ends_of(settings),
        model=f"{model.name} {model.version}",
        clock=resources.clock,
        expires=lambda: settings.analysis.expires,
    )


def metrics_text(settings: Settings, resources: Resources) -> str:
    """Give the metrics as a running node serves them; else those of the present state alone.

    Raises
    ------
    pipeline.errors.ModelError
        If the model cannot be read.
    """
    place = settings.monitoring
    if place.port:
        host = LOOPBACK_OF.get(place.bind, place.bind)
        scheme = "https" if place.certificate else "http"
        url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{place.port}/metrics"
        with suppress(httpx.HTTPError):
            own = httpx.get(url, timeout=METRICS_SECONDS, verify=False, trust_env=False)  # noqa: S501  # our own port, and nothing is told to it
            return own.raise_for_status().text
    condition = read_condition(settings.storage.folder)
    names = tuple(one.name for one in settings.destinations if one.enabled)
    sources = replace(
        sources_of(settings, resources, lambda: names),
        faults=lambda: condition.faults if condition else (),
    )
    registry = CollectorRegistry()
    registry.register(StateCollector(sources))
    return generate_latest(registry).decode()
