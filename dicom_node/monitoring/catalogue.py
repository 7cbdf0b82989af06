"""List every metric of the node, as the documentation shows them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client.core import Metric

from dicom_node.health import PartFault
from dicom_node.monitoring.event_metrics import COUNTED, TIMED
from dicom_node.monitoring.state_collector import Sources, StateCollector
from storage.results.self_tests import SelfTestRun
from storage.standing import WAITING, Standing
from storage.states import SelfTestState

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
RUN = SelfTestRun(
    id=1,
    state=SelfTestState.PASSED,
    requested_at=MOMENT,
    requested_by="",
    began_at=MOMENT,
    ended_at=MOMENT,
    series_instance_uid="",
    reason="",
    model="",
    basis="",
    found="",
    verdict='{"score_error": 0}',
)
EXAMPLE = Standing(
    series={},
    waiting_since=dict.fromkeys(WAITING, MOMENT),
    deliveries={},
    undelivered_since={"PACS": MOMENT},
    paused=frozenset(),
    quarantine=0,
    positive=0,
    indeterminate=0,
    negative=0,
    answers={"agree": 1},
    self_test=RUN,
    self_test_passed=RUN,
)
"""A state in which every gauge has a value."""


def states() -> Iterator[Metric]:
    """Give every gauge, of `EXAMPLE`."""
    fault = PartFault(part="engine", since=MOMENT, reason="away")
    return StateCollector(
        Sources(
            destinations=lambda: ("PACS",),
            standing=lambda: EXAMPLE,
            faults=lambda: (fault,),
            free_bytes=lambda: 0,
            reserve_bytes=0,
            certificates=lambda: (("[tls] certificate", MOMENT),),
            self_test_seconds=0.0,
            model="",
            clock=lambda: MOMENT,
            expires=MOMENT.date,
        )
    ).collect()


def rows() -> list[tuple[str, str, str, str]]:
    """Name, kind, labels and meaning of every metric, by name."""
    found = [
        (f"dicom_node_{one.metric}_total", "counter", tuple(one.labels or ()), one.text)
        for one in COUNTED
    ]
    found += [(f"dicom_node_{one.metric}", "histogram", one.labels, one.text) for one in TIMED]
    for metric in states():
        labels = tuple(metric.samples[0].labels)
        name = f"{metric.name}_info" if metric.type == "info" else metric.name
        found.append((name, metric.type, labels, metric.documentation))
    return [
        (f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), text)
        for name, kind, labels, text in sorted(found)
    ]
