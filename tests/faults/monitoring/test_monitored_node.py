"""Metrics and health of a node as a process; what ails them never keeps it from working."""

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dicom_node.demo.stand_in_pacs import StandInPacs
from tests.faults.test_backup import series, store
from tests.support.node_process import NodeProcess, free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MORE = "\n[monitoring]\nport = {port}\n\n"
MANY = 300  #: silent connections: more than may be open


def metrics(port: int) -> dict[tuple[str, str], float]:
    """Value by name and calling AE."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20)
    return {
        (sample.name, sample.labels.get("calling_ae", "")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def serves(port: int) -> bool:
    """Whether a probe is answered; it may be some time after the node receives."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_what_a_node_receives_can_be_read_by_prometheus(
    make_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    port = free_port()
    node = make_node(pacs.port, quiet=600, more=MORE.format(port=port))
    node.start()
    wait_until(lambda: serves(port), seconds=60, what="an answer")
    sent = series(tmp_path / "first", 1)
    store(node, sent)
    count = len(list(sent.iterdir()))

    def received() -> float:
        found = metrics(port)
        name = "dicom_node_instances_received_total"
        return sum(value for (one, _), value in found.items() if one == name)

    wait_until(lambda: received() == count, seconds=60, what="all instances in the metrics")
    assert metrics(port)["dicom_node_ready", ""] == 1
    assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=20).status_code == 200
    assert node.stop() == 0


def test_silent_connections_do_not_keep_a_probe_from_its_answer(
    make_node: Callable[..., NodeProcess], pacs: StandInPacs
) -> None:
    port = free_port()
    node = make_node(pacs.port, quiet=600, more=MORE.format(port=port))
    node.start()

    wait_until(lambda: serves(port), seconds=60, what="an answer")
    silent = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(MANY)]

    wait_until(lambda: serves(port), seconds=60, what="an answer beside silent connections")
    for connection in silent:
        connection.close()
    assert node.stop() == 0


def test_a_node_works_though_the_port_of_its_metrics_is_taken(
    make_node: Callable[..., NodeProcess], pacs: StandInPacs
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        node = make_node(pacs.port, quiet=600, more=MORE.format(port=port))
        node.start()

        wait_until(lambda: "monitoring_away" in node.log(), seconds=20, what="a line of the log")
        assert node.stop() == 0
