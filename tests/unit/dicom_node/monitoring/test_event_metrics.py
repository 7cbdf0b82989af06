"""Counters and histograms follow the events of the log, whatever its level."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from dicom_node import logs
from dicom_node.monitoring.event_metrics import COUNTED, MAX_VALUES, OTHER, TIMED, EventMetrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> EventMetrics:
    return EventMetrics(registry)


@pytest.fixture
def observed(metrics: EventMetrics) -> Iterator[EventMetrics]:
    logs.OBSERVERS.append(metrics.take)
    yield metrics
    logs.OBSERVERS.remove(metrics.take)
    structlog.reset_defaults()


def test_every_metric_follows_an_event_that_there_is() -> None:
    assert {one.event for one in (*COUNTED, *TIMED)} <= logs.EVENTS


@pytest.mark.parametrize(
    ("event", "sample", "labels", "value"),
    [
        (
            {"event": "instance_received", "calling_ae": "CT1", "bytes": 700},
            "instances_received_total",
            {"calling_ae": "CT1"},
            1,
        ),
        (
            {"event": "instance_received", "calling_ae": "CT1", "bytes": 700},
            "received_bytes_total",
            {"calling_ae": "CT1"},
            700,
        ),
        (
            {"event": "analysis_unsuitable", "reason": "too-few-slices: expected 10, got 3"},
            "series_unsuitable_total",
            {"reason": "too-few-slices"},
            1,
        ),
        (
            {"event": "delivery_accepted", "destination": "PACS", "objects": 41},
            "deliveries_accepted_total",
            {"destination": "PACS"},
            41,
        ),
        ({"event": "association_rejected"}, "associations_rejected_total", {}, 1),
        ({"event": "association_broken", "times": 70}, "associations_broken_total", {}, 70),
        ({"event": "context_refused", "times": 3}, "contexts_refused_total", {}, 3),
        ({"event": "audit_dropped", "waiting": 9}, "audit_messages_dropped_total", {}, 0),
        ({"event": "audit_dropped", "messages": 12}, "audit_messages_dropped_total", {}, 12),
        (
            {"event": "series_closed", "closed_by": "mpps", "waited_seconds": 0.4},
            "closing_wait_seconds_sum",
            {"proof": "mpps"},
            0.4,
        ),
        (
            {"event": "analysis_finished", "seconds": {"read": 0.5, "analyse": 7.0}},
            "stage_seconds_sum",
            {"stage": "analyse"},
            7.0,
        ),
        (
            {"event": "analysis_finished", "seconds": {"read": 0.5, "analyse": 7.0}},
            "analysis_seconds_sum",
            {},
            7.5,
        ),
    ],
)
def test_an_event_adds_to_its_metric(
    event: dict[str, Any],
    sample: str,
    labels: dict[str, str],
    value: float,
    metrics: EventMetrics,
    registry: CollectorRegistry,
) -> None:
    metrics.take(event)
    metrics.take({"event": "node_started"})

    assert registry.get_sample_value(f"dicom_node_{sample}", labels) == value


def test_a_stranger_cannot_make_labels_without_end(
    metrics: EventMetrics, registry: CollectorRegistry
) -> None:
    for number in range(3 * MAX_VALUES):
        metrics.take({"event": "association_accepted", "calling_ae": f"AE{number}"})

    (family,) = (f for f in registry.collect() if f.name == "dicom_node_associations_accepted")
    totals = {s.labels["calling_ae"]: s.value for s in family.samples if s.name.endswith("_total")}
    assert len(totals) == MAX_VALUES + 1
    assert totals[OTHER] == 2 * MAX_VALUES


def test_what_the_level_of_the_log_leaves_out_is_counted(
    observed: EventMetrics, registry: CollectorRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = logs.configure(level="ERROR")

    structlog.get_logger().debug("instance_received", calling_ae="CT1", bytes=1)
    structlog.get_logger().error("settings_refused", reason="x")
    writer.flush()

    assert registry.get_sample_value(
        "dicom_node_instances_received_total", {"calling_ae": "CT1"}
    ) == pytest.approx(1)
    assert "instance_received" not in capsys.readouterr().err


def test_metrics_that_fail_lose_no_line(
    observed: EventMetrics, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = logs.configure(level="INFO")

    structlog.get_logger().info("analysis_finished", seconds="no mapping")
    writer.flush()

    assert "analysis_finished" in capsys.readouterr().err
    assert writer.lost == 0
