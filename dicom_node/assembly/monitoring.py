"""Put metrics and health together for a running node, and serve them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from config.settings import Settings
from dicom_node import logs
from dicom_node.analysis.configuration import model_of
from dicom_node.assembly.resources import GIGABYTE
from dicom_node.assembly.security import certificate_ends_of
from dicom_node.errors import NodeError
from dicom_node.monitoring.event_metrics import EventMetrics
from dicom_node.monitoring.server import MonitoringServer, app_of
from dicom_node.monitoring.state_collector import Sources, StateCollector
from dicom_node.reception.stow.connections import BoundedListener
from dicom_node.reception.stow.server import HEAD_SECONDS, BoundedProtocol
from dicom_node.resources import Resources
from storage.files.disk import disk_free
from storage.files.self_test_mark import is_of_self_test
from storage.standing import Standing, standing


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
) -> MonitoringServer:
    """Serve what is counted, the present state, and the process.

    Parameters
    ----------
    registry
        Of what is counted already.
    destinations
        Names of those that are delivered to now.

    Raises
    ------
    NodeError
        If the address cannot be listened on.
    """
    registry.register(StateCollector(sources_of(settings, resources, destinations)))
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
    )
