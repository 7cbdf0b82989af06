"""Gauges say how the node stands, and what cannot be read is left out."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from dicom_node.health import PartFault
from dicom_node.monitoring.catalogue import RUN
from dicom_node.monitoring.state_collector import KEEP_SECONDS, Sources, StateCollector
from storage.errors import DatabaseUnavailable
from storage.standing import Standing
from storage.states import DeliveryState, SelfTestState, SeriesState

NOW = datetime(2024, 5, 1, tzinfo=UTC)
STANDING = Standing(
    series={SeriesState.STABLE: 3, SeriesState.DELIVERED: 50},
    waiting_since={SeriesState.STABLE: NOW - timedelta(minutes=5)},
    deliveries={("PACS", DeliveryState.PENDING): 7},
    undelivered_since={"PACS": NOW - timedelta(hours=1)},
    paused=frozenset({"VNA"}),
    quarantine=2,
    positive=4,
    negative=9,
    indeterminate=2,
    answers={"agree": 6},
    self_test=replace(
        RUN,
        state=SelfTestState.FAILED,
        began_at=NOW - timedelta(seconds=90),
        ended_at=NOW,
        verdict='{"score_error": -0.25}',
    ),
    self_test_passed=replace(RUN, ended_at=NOW - timedelta(days=1)),
)


class Database:
    """Answers with a standing, or is away; counts how often it is asked."""

    def __init__(self) -> None:
        self.is_away, self.asked = False, 0

    def __call__(self) -> Standing:
        self.asked += 1
        if self.is_away:
            raise DatabaseUnavailable("away")
        return STANDING


class Steady:
    """A monotonic clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def sources(database: Database) -> Sources:
    return Sources(
        destinations=lambda: ("PACS", "VNA"),
        standing=database,
        faults=lambda: (),
        free_bytes=lambda: 5_000,
        reserve_bytes=2_000,
        certificates=lambda: (("[tls] certificate", NOW),),
        self_test_seconds=86_400,
        model="some 1.0.0",
        clock=lambda: NOW,
    )


def registry_of(sources: Sources, steady: Steady) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(StateCollector(sources, steady))
    return registry


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("self_test_success", {}, 0),
        ("self_test_seconds", {}, 90),
        ("self_test_score_error", {}, -0.25),
        ("self_test_last_success_timestamp_seconds", {}, (NOW - timedelta(days=1)).timestamp()),
        ("self_test_interval_seconds", {}, 86_400),
        ("series", {"state": "stable"}, 3),
        ("series", {"state": "failed"}, 0),
        ("oldest_waiting_seconds", {"state": "stable"}, 300),
        ("oldest_waiting_seconds", {"state": "receiving"}, 0),
        ("deliveries", {"destination": "PACS", "state": "pending"}, 7),
        ("deliveries", {"destination": "VNA", "state": "refused"}, 0),
        ("oldest_delivery_seconds", {"destination": "PACS"}, 3600),
        ("destination_paused", {"destination": "VNA"}, 1),
        ("destination_paused", {"destination": "PACS"}, 0),
        ("quarantine_files", {}, 2),
        ("decisions", {"decision": "positive"}, 4),
        ("decisions", {"decision": "negative"}, 9),
        ("decisions", {"decision": "indeterminate"}, 2),
        ("answers", {"answer": "agree"}, 6),
        ("disk_free_bytes", {}, 5_000),
        ("disk_reserve_bytes", {}, 2_000),
        ("ready", {}, 1),
        ("database_up", {}, 1),
        ("certificate_expiry_timestamp_seconds", {"setting": "[tls] certificate"}, NOW.timestamp()),
    ],
)
def test_a_gauge_says_how_it_stands(
    name: str, labels: dict[str, str], value: float, sources: Sources, steady: Steady
) -> None:
    found = registry_of(sources, steady).get_sample_value(f"dicom_node_{name}", labels)
    assert found == value


def test_a_part_that_refuses_instances_makes_the_node_unready(
    sources: Sources, steady: Steady
) -> None:
    fault = PartFault(
        part="disk", since=NOW - timedelta(seconds=40), reason="full", receiving=False
    )
    registry = registry_of(replace(sources, faults=lambda: (fault,)), steady)

    assert registry.get_sample_value("dicom_node_ready") == 0
    assert registry.get_sample_value("dicom_node_part_fault", {"part": "disk"}) == 1
    assert registry.get_sample_value("dicom_node_part_fault_seconds", {"part": "disk"}) == 40


def test_with_the_database_away_the_rest_is_told(
    sources: Sources, steady: Steady, database: Database
) -> None:
    database.is_away = True
    registry = registry_of(sources, steady)

    names = {family.name for family in registry.collect()}

    assert registry.get_sample_value("dicom_node_database_up") == 0
    assert "dicom_node_series" not in names
    assert "dicom_node_disk_free_bytes" in names


def test_with_the_folder_away_the_rest_is_told(sources: Sources, steady: Steady) -> None:
    def away() -> int:
        raise OSError("away")

    names = {f.name for f in registry_of(replace(sources, free_bytes=away), steady).collect()}

    assert "dicom_node_disk_free_bytes" not in names
    assert "dicom_node_series" in names


def test_however_often_it_is_scraped_the_database_is_read_now_and_then(
    sources: Sources, steady: Steady, database: Database
) -> None:
    registry = registry_of(sources, steady)
    for _ in range(5):
        list(registry.collect())
    assert database.asked == 1

    steady.now += KEEP_SECONDS
    list(registry.collect())
    assert database.asked == 2


def test_nobody_waits_for_a_database_that_hangs(sources: Sources, steady: Steady) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hanging() -> Standing:
        asked.set()
        go_on.wait(20)
        return STANDING

    registry = registry_of(replace(sources, standing=hanging), steady)
    first = threading.Thread(target=lambda: list(registry.collect()))
    first.start()
    assert asked.wait(20)

    assert registry.get_sample_value("dicom_node_ready") == 1
    go_on.set()
    first.join(20)
    assert registry.get_sample_value("dicom_node_database_up") == 1
