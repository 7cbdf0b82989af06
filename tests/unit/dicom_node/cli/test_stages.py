"""The stages, and which of them holds up the others."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from config.reader import load
from dicom_node.analysis.oversight.permission import Oversight, Permission
from dicom_node.assembly.resources import open_resources
from dicom_node.cli.maintenance.drain import Staying, left_of
from dicom_node.cli.views.stages import (
    NOT_ACCEPTED,
    RECEPTION,
    HoldUp,
    Stage,
    Stops,
    held_up_by,
    stages_of,
    stops_of,
    unserved,
    words,
)
from dicom_node.folder_lock import only_node
from dicom_node.health import Condition, PartFault, WorkerLoad, write_condition
from storage.console.node_pages import Backlog, Waiting
from storage.database.schema import Delivery
from storage.delivery.pauses import Pause, pause
from storage.states import DeliveryState, SeriesState
from tests.unit.dicom_node.cli.test_operator import Run, enter, ini, result_of, run

__all__ = ["ini", "run"]  # fixtures

D, S = DeliveryState, SeriesState
MINUTE = timedelta(minutes=1)


NOW = datetime.now(UTC)
TODAY = NOW.date()
GOES_ON = Permission()
AT_WORK = (WorkerLoad(worker="gpu-1"),)
NO_WORKER = "no worker is there"


def stage(name: str, oldest: float | None, *, stopped: bool = False) -> Stage:
    return Stage(
        name=name, unit="series", busy=0, waiting=1, oldest_seconds=oldest, stopped=stopped
    )


def fault(part: str, reason: str, *, receiving: bool = True) -> PartFault:
    return PartFault(part=part, since=NOW, reason=reason, receiving=receiving)


def condition(*faults: PartFault, workers: tuple[WorkerLoad, ...] = AT_WORK) -> Condition:
    return Condition(written_at=NOW, faults=faults, workers=workers)


def waiting(uid: str = "1", *, held: bool = False, tried_at: datetime | None = None) -> Waiting:
    """A series that was closed a moment ago."""
    return Waiting(
        series_instance_uid=uid,
        calling_ae="CT1",
        state=S.STABLE,
        instances=40,
        attempts=0,
        urgent=False,
        since=NOW,
        last_at=NOW,
        not_before=tried_at,
        held=held,
    )


@pytest.mark.parametrize(
    ("stages", "names"),
    [
        ([stage("a", None), stage("b", None)], ()),
        ([stage("a", 59.0), stage("b", 60.0)], ()),
        ([stage("a", 61.0), stage("b", None)], ("a",)),
        ([stage("a", 61.0), stage("b", 3600.0)], ("b", "a")),
        ([stage("a", 3600.0), stage("b", 0.1, stopped=True)], ("b", "a")),
        ([replace(stage("a", None, stopped=True), waiting=0)], ()),
        ([replace(stage(RECEPTION, None, stopped=True), waiting=0)], (RECEPTION,)),
    ],
)
def test_what_is_stopped_or_has_waited_longest_holds_up_the_rest(
    stages: list[Stage], names: tuple[str, ...]
) -> None:
    found = held_up_by(stages)

    assert [one.stages for one in found] == ([names] if names else [])


@pytest.mark.parametrize(
    ("said", "permission", "reception", "analysis", "delivery"),
    [
        (condition(), GOES_ON, "", "", ""),
        (condition(workers=()), GOES_ON, "", NO_WORKER, ""),
        (
            condition(fault("engine", "the scheduler has no worker"), workers=()),
            GOES_ON,
            "",
            "the scheduler has no worker",
            "",
        ),
        (
            condition(
                fault("engine", "none of its 2 worker(s) is fit: see each of them"),
                fault("worker a", "it is paused: most of its memory is used"),
                fault("worker b", "it is closing_gracefully"),
                workers=(),
            ),
            GOES_ON,
            "",
            "worker a: it is paused: most of its memory is used;"
            " worker b: it is closing_gracefully",
            "",
        ),
        (condition(fault("worker b", "it has not been heard for 9 s")), GOES_ON, "", "", ""),
        (
            condition(),
            Oversight(switch="hold").permission(TODAY),
            "",
            *["held by [analysis] switch: series wait, and no result leaves"] * 2,
        ),
        (
            condition(workers=()),  # who ends series asks for a free worker, too
            Oversight(switch="off").permission(TODAY),
            "",
            NO_WORKER,
            "switched off by [analysis] switch: series end without an analysis, and no result"
            " leaves",
        ),
        (
            condition(),
            Oversight(expires=TODAY - 2 * timedelta(days=1)).permission(TODAY),
            "",
            f"the model has expired, its last day was {TODAY - 2 * timedelta(days=1)}: series wait",
            "",
        ),
        (condition(), Oversight(expires=TODAY).permission(TODAY), "", "", ""),  # told beforehand
        (
            condition(
                fault("disk", "0 GB free", receiving=False),
                fault("reception", "drained by x", receiving=False),
                fault("audit", "away"),
            ),
            GOES_ON,
            "disk: 0 GB free; reception: drained by x",
            "",
            "",
        ),
        (
            condition(fault("storage", "nothing is kept", receiving=False)),
            GOES_ON,
            "storage: nothing is kept",
            "nothing is kept",
            "nothing is kept",
        ),
    ],
)
def test_what_keeps_a_stage_from_going_on_is_named(
    said: Condition, permission: Permission, reception: str, analysis: str, delivery: str
) -> None:
    found = stops_of(said, "", permission, {})

    assert (found.reception, found.analysis, found.delivery) == (reception, analysis, delivery)


def test_of_a_node_that_hangs_nobody_knows_what_goes_on() -> None:
    found = stops_of(condition(), "the node hangs", GOES_ON, {})

    assert (found.reception, found.analysis, found.delivery) == ("the node hangs",) * 3


def test_of_a_node_that_does_not_run_nothing_goes_on() -> None:
    waits = Backlog(states={D.PENDING: 3}, oldest=NOW)
    stops = stops_of(None, "the node is not running", GOES_ON, {})
    found = stages_of([waiting()], {"A": waits}, stops, (), NOW)

    assert found.held_up_by == (
        HoldUp(reason="the node is not running", stages=("reception", "analysis", "delivery to A")),
    )
    assert [*words(found, NOW)][-1] == (
        "held up by: the node is not running (reception, analysis, delivery to A)"
    )


def test_a_series_that_waits_a_moment_for_a_worker_that_is_not_there_is_held_up() -> None:
    stops = stops_of(condition(workers=()), "", GOES_ON, {})

    found = stages_of([waiting()], {}, stops, (), NOW)
    assert found.bottleneck == "analysis"
    assert [*words(found, NOW)][-1] == "held up by: no worker is there (analysis)"
    nothing = stages_of([], {}, stops, (), NOW)
    assert nothing.bottleneck == ""


def test_destinations_say_why_they_get_nothing() -> None:
    waits = Backlog(states={D.PENDING: 3, D.UNCOMMITTED: 1}, oldest=NOW, fault="away")
    pause = Pause(destination="P", at=NOW, by="admin")
    names = ("A", "OLD", "OFF", "P", "HELD", "PART")

    found = unserved(
        dict.fromkeys(names, waits),
        {"A": True, "OFF": False, "P": True, "HELD": True, "PART": True},
        {"P": pause},
        {"HELD": 4, "PART": 3},
    )

    at = f"{NOW.astimezone():%Y-%m-%d %H:%M}"
    assert found == {
        "OLD": "not in the settings",
        "OFF": "switched off",
        "P": f"paused since {at} by admin",
        "HELD": NOT_ACCEPTED,
    }
    assert unserved({"A": waits}, {}, {}, {}) == {}  # the settings cannot be read


def test_a_paused_destination_is_named_behind_what_nobody_wants() -> None:
    waits = Backlog(states={D.PENDING: 3, D.SENDING: 1}, oldest=NOW - 5 * MINUTE, fault="away")
    longer = replace(waits, oldest=NOW - 9 * MINUTE)
    stops = Stops(destinations={"B": "paused"})
    found = stages_of([], {"A": waits, "B": longer}, stops, AT_WORK, NOW)

    (_, _, a, b) = found.stages
    assert (a.busy, a.waiting, a.note, b.note) == (1, 3, "away", "paused")
    assert found.bottleneck == "delivery to A"
    assert [*words(found, NOW)][-1] == ("held up by: away (delivery to A); paused (delivery to B)")


def test_series_that_wait_for_a_person_or_their_next_try_do_not_wait_for_a_worker() -> None:
    later = NOW + 5 * MINUTE
    series = [
        waiting("1", held=True),
        replace(waiting("2", tried_at=later), since=NOW - 2 * MINUTE),
    ]
    found = stages_of(series, {}, Stops(destinations={}), AT_WORK, NOW)

    (_, analysis, changed) = found.stages
    assert (analysis.waiting, changed.waiting) == (1, 1)
    again = f"what failed is tried again at {later.astimezone():%H:%M:%S}"
    assert [*words(found, NOW)][-1] == (
        f"held up by: {NOT_ACCEPTED} (changed scanners); {again} (analysis)"
    )


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

    down = run("status", "--stages").splitlines()[-1]
    assert down == ("held up by: the node is not running (analysis, delivery to PACS, reception)")
    with only_node(folder):
        said = run("status", "--stages")
        told = json.loads(run("status", "--stages", "--json"))
        write_condition(folder, replace(condition(workers=()), written_at=datetime.now(UTC)))
        without = json.loads(run("status", "--stages", "--json"))

    assert "reception: 1 busy, 0 series waiting" in said
    assert "analysis: 1 of 2 busy, 1 series waiting, the oldest for 30 min" in said
    assert "delivery to PACS: 0 busy, 2 objects waiting, the oldest for 2 min" in said
    assert "  worker gpu-1: 3 for 1 min" in said
    assert "  worker gpu-2: free" in said
    assert said.splitlines()[-1] == "held up by: analysis, delivery to PACS"
    assert told["bottleneck"] == "analysis"
    assert [one["worker"] for one in told["workers"]] == ["gpu-1", "gpu-2"]
    assert without["held_up_by"][0] == {"reason": NO_WORKER, "stages": ["analysis"]}


def test_a_drain_waits_for_what_can_be_sent_and_names_what_stays(ini: Path) -> None:
    enter(ini, {"series_instance_uid": "1"}, {"series_instance_uid": "2", "state": S.ANALYSING})
    result_of(ini, "1")
    with open_resources(load(ini)).sessions.begin() as session:
        session.execute(update(Delivery).values(state=D.PENDING, first_at=NOW))
        left = left_of(session, load(ini))
        assert (left.words, left.stays) == ("1 series, 2 objects for PACS", [])

        ini.write_text(ini.read_text().replace("[destination PACS]", "[destination NEW]"))
        left = left_of(session, load(ini))
        assert left.words == "1 series"
        assert left.stays == [Staying(destination="PACS", objects=2, why="not in the settings")]

        ini.write_text(ini.read_text().replace("[destination NEW]", "[destination PACS]"))
        pause(session, "PACS", now=NOW, by="admin")
        (stays,) = left_of(session, load(ini)).stays
        assert (stays.objects, stays.why.startswith("paused since")) == (2, True)
