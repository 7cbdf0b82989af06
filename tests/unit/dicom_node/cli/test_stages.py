"""The stages, and which of them holds up the others."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from config.reader import load
from dicom_node.assembly.resources import open_resources
from dicom_node.cli.views.stages import Stage, bottleneck, stages_of
from dicom_node.folder_lock import only_node
from dicom_node.health import Condition, WorkerLoad, write_condition
from storage.console.node_pages import Backlog
from storage.database.schema import Delivery
from storage.states import DeliveryState, SeriesState
from tests.unit.dicom_node.cli.test_operator import Run, enter, ini, result_of, run

__all__ = ["ini", "run"]  # fixtures

D, S = DeliveryState, SeriesState
MINUTE = timedelta(minutes=1)


def stage(name: str, oldest: float | None) -> Stage:
    return Stage(name=name, unit="series", busy=0, waiting=1, oldest_seconds=oldest)


@pytest.mark.parametrize(
    ("oldest", "name"),
    [
        ([None, None], ""),
        ([59.0, 60.0], ""),
        ([61.0, None], "a"),
        ([61.0, 3600.0], "b"),
    ],
)
def test_what_has_waited_longest_holds_up_the_rest(oldest: list[float | None], name: str) -> None:
    stages = [stage(name, age) for name, age in zip("ab", oldest, strict=True)]

    assert bottleneck(stages) == name


def test_a_paused_destination_and_a_fault_say_why_nothing_goes_on() -> None:
    now = datetime.now(UTC)
    waits = Backlog(states={D.PENDING: 3, D.SENDING: 1}, oldest=now - 5 * MINUTE, fault="away")
    longer = replace(waits, oldest=now - 9 * MINUTE)
    found = stages_of([], {"A": waits, "B": longer}, frozenset({"B"}), (), now)

    (_, analysis, a, b) = found.stages
    assert analysis.note == "no worker is there"
    assert (a.busy, a.waiting, a.note, b.note) == (1, 3, "away", "paused")
    assert found.bottleneck == "delivery to A"  # nobody waits for one that is paused


def test_stages_are_told_worker_by_worker(ini: Path, run: Run) -> None:
    now = datetime.now(UTC)
    enter(
        ini,
        {"series_instance_uid": "1"},
        {"series_instance_uid": "2", "state": S.STABLE, "since": now - 30 * MINUTE},
        {"series_instance_uid": "3", "state": S.ANALYSING, "since": now - MINUTE},
        {"series_instance_uid": "4", "state": S.RECEIVING, "since": now},
    )
    result_of(ini, "1")
    with open_resources(load(ini)).sessions.begin() as session:
        session.execute(update(Delivery).values(state=D.PENDING, first_at=now - 2 * MINUTE))
    folder = load(ini).storage.folder
    loads = (
        WorkerLoad(worker="gpu-1", series_instance_uid="3", since=now - MINUTE),
        WorkerLoad(worker="gpu-2"),
    )
    write_condition(folder, Condition(written_at=now, workers=loads))

    assert "no worker is there" in run("status", "--stages")  # the node does not run
    with only_node(folder):
        said = run("status", "--stages")
        told = json.loads(run("status", "--stages", "--json"))

    assert "reception: 1 busy, 0 series waiting" in said
    assert "analysis: 1 of 2 busy, 1 series waiting, the oldest for 30 min" in said
    assert "delivery to PACS: 0 busy, 2 objects waiting, the oldest for 2 min" in said
    assert "  worker gpu-1: 3 for 1 min" in said
    assert "  worker gpu-2: free" in said
    assert said.splitlines()[-1] == "held up by: analysis"
    assert told["bottleneck"] == "analysis"
    assert [one["worker"] for one in told["workers"]] == ["gpu-1", "gpu-2"]
