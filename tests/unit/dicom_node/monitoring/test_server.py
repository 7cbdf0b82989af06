"""Metrics and health by HTTP: over a real socket."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from config.network import MonitoringSettings
from dicom_node.assembly.monitoring import bounded
from dicom_node.health import Health
from dicom_node.monitoring.server import MonitoringServer, app_of
from tests.support.node_process import free_port

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def health() -> Health:
    return Health(lambda: NOW)


@pytest.fixture
def server(health: Health) -> Iterator[MonitoringServer]:
    registry = CollectorRegistry()
    Counter("seen", "Seen.", registry=registry).inc(3)
    running = MonitoringServer(
        MonitoringSettings(port=free_port()), app_of(registry, health.snapshot), bounded
    )
    yield running
    running.stop()


@pytest.fixture
def client(server: MonitoringServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20) as client:
        yield client


def test_metrics_can_be_read_by_prometheus(client: httpx.Client) -> None:
    answer = client.get("/metrics", headers={"Accept": "text/plain"})

    (family, *_) = text_string_to_metric_families(answer.text)
    assert answer.headers["content-type"].startswith("text/plain")
    assert next((s.name, s.value) for s in family.samples) == ("seen_total", 3.0)


def test_a_node_in_order_is_alive_and_ready(client: httpx.Client) -> None:
    alive, ready = client.get("/healthz"), client.get("/readyz")

    assert (alive.status_code, alive.json()) == (200, {"alive": True, "faults": []})
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "faults": []})


def test_what_is_out_of_order_is_told_with_its_reason(client: httpx.Client, health: Health) -> None:
    health.fault("engine", "no worker")
    fault = {
        "part": "engine",
        "since": NOW.isoformat(),
        "reason": "no worker",
        "receiving": True,
        "ready": True,
    }

    assert client.get("/healthz").json()["faults"] == [fault]
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "faults": [fault]})


def test_a_node_that_refuses_instances_is_alive_and_not_ready(
    client: httpx.Client, health: Health
) -> None:
    health.fault("disk", "full", receiving=False)

    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503


def test_a_node_whose_self_test_failed_takes_instances_and_is_not_ready_where_that_is_needed(
    client: httpx.Client, health: Health
) -> None:
    health.fault("self-test", "failed")
    assert client.get("/readyz").status_code == 200

    health.fault("self-test", "failed", ready=False)

    answer = client.get("/readyz")
    assert answer.status_code == 503
    (fault,) = answer.json()["faults"]
    assert (fault["receiving"], fault["ready"]) == (True, False)


@pytest.mark.parametrize(("method", "path"), [("POST", "/metrics"), ("DELETE", "/readyz")])
def test_nothing_can_be_changed(method: str, path: str, client: httpx.Client) -> None:
    assert client.request(method, path).status_code == 405


def test_other_pages_are_not_there(client: httpx.Client) -> None:
    assert client.get("/").status_code == 404


def test_a_thread_that_has_ended_can_be_started_again(
    client: httpx.Client, server: MonitoringServer
) -> None:
    server._server.should_exit = True
    server._thread.join(20)
    assert not server.is_alive()

    server.restart()

    assert client.get("/healthz").status_code == 200


def test_the_address_is_ours_alone_once_it_is_stopped(server: MonitoringServer) -> None:
    port = server.port
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=20)
