"""Files and rows that disagree are found, logged once, and repaired where that is safe."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from structlog.testing import capture_logs
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.errors import AlreadyRunning, NodeError
from dicom_node.folder_lock import only_node
from dicom_node.maintenance.comparison import ComparisonProcess, Request, compare
from dicom_node.maintenance.consistency import ConsistencyMonitor, find, repair
from dicom_node.resources import Resources
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.schema import Delivery, Instance
from storage.files.folder import INSTANCE_FOLDERS
from storage.maintenance.consistency import Finding, Kind
from storage.overview import overview
from storage.series.lifecycle import claim_next
from storage.states import DeliveryState, SeriesState
from tests.support.databases import database_url
from tests.support.dispatcher_samples import NOW, RESULT, Workers, dispatcher, line, open_resources
from tests.unit.dicom_node.maintenance.test_retention import arrive, deliver, instance, put

pytestmark = pytest.mark.database

OLD = NOW - timedelta(days=2)


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """A series of two instances, encoded; all agrees."""
    resources = open_resources(tmp_path)
    arrive(resources, "2.25.11", "2.25.12")
    dispatcher(resources, Workers(RESULT)).dispatch()
    return resources


def kinds(resources: Resources) -> list[Kind]:
    return [finding.kind for finding in find(resources)]


def test_what_agrees_is_in_order(resources: Resources) -> None:
    assert find(resources) == []


def test_what_is_young_is_on_its_way(resources: Resources) -> None:
    for path in ("incoming/00/new.dcm", "results/new", "tmp/new", "quarantine/new"):
        put(resources, path, NOW)
    assert find(resources) == []


def test_missing_instances_are_noted_and_the_series_is_not_analysed_by_halves(
    resources: Resources,
) -> None:
    resources.folder.locate(instance("2.25.11").path).unlink()
    deliver(resources)
    assert [(finding.kind, finding.what, finding.detail) for finding in find(resources)] == [
        (Kind.INSTANCES_MISSING, "2.25.2", "1 instances")
    ]

    repair(resources)

    assert kinds(resources) == []
    assert line(resources).state is SeriesState.DELIVERED
    arrive(resources, "2.25.13")
    dispatcher(resources, Workers(), wanted="no").dispatch()
    assert line(resources).reason.startswith("instances-removed: 1 of its 3")


def make_unreadable(path: Path) -> Path:
    """Looking at it is a fault of the system, as of a failing disk; return what was there."""
    was = path.with_name(f"{path.name}.was")
    if path.exists():
        path.rename(was)
    path.symlink_to(path.name)
    return was


def test_a_file_of_which_nobody_can_say_whether_it_is_there_is_not_noted_as_gone(
    resources: Resources,
) -> None:
    make_unreadable(resources.folder.locate(instance("2.25.11").path))
    repair(resources)
    assert kinds(resources) == []
    with resources.sessions() as session:
        assert session.scalars(select(Instance.purged_at)).all() == [None, None]


def test_what_cannot_be_read_is_told_and_ends_neither_comparison_nor_repair(
    resources: Resources,
) -> None:
    make_unreadable(resources.folder.locate("tmp/left"))
    put(resources, "quarantine/a.dcm", OLD)
    was = make_unreadable(resources.folder.locate("incoming/00"))
    make_unreadable(resources.folder.locate("results/k1"))
    wrong = [
        (Kind.UNREADABLE, "incoming/00", "Too many levels of symbolic links"),
        (Kind.UNREADABLE, "results/k1", "Too many levels of symbolic links"),
        (Kind.UNREADABLE, "tmp/left", "Too many levels of symbolic links"),
    ]
    told = [(one.kind, one.what, one.detail) for one in find(resources)]
    assert [one for one in told if one[0] is Kind.UNREADABLE] == wrong
    assert (Kind.QUARANTINE_UNKNOWN, "quarantine/a.dcm", "") in told

    repair(resources)

    assert Kind.QUARANTINE_UNKNOWN not in kinds(resources)
    place = resources.folder.locate("incoming/00")
    place.unlink()
    was.rename(place)
    with resources.sessions() as session:
        assert session.scalars(select(Instance.purged_at)).all() == [None, None]


def test_the_hourly_comparison_is_not_ended_by_what_cannot_be_read(resources: Resources) -> None:
    make_unreadable(resources.folder.locate("incoming/00"))
    put(resources, "quarantine/a.dcm", OLD)
    monitor = ConsistencyMonitor(resources)
    with capture_logs() as logged:
        monitor.run_once()
    assert [(line["kind"], line["what"]) for line in logged] == [
        (Kind.UNREADABLE, "incoming/00"),
        (Kind.QUARANTINE_UNKNOWN, "quarantine/a.dcm"),
    ]


def test_rounds_that_end_early_find_together_what_one_finds(resources: Resources) -> None:
    for place in ("incoming/00", "incoming/ff", "quarantine", "results"):
        put(resources, f"{place}/a.dcm", OLD)
    for path in resources.folder.root.glob("results/k1/*.dcm"):
        path.unlink()
    found: list[Finding] = []
    after, rounds = "", 0
    while rounds == 0 or after:
        made = compare(
            resources.sessions, resources.folder, NOW, after=after, is_enough=lambda: True
        )
        found += made.findings
        after, rounds = made.after, rounds + 1
    assert rounds == len(INSTANCE_FOLDERS) + 2
    assert sorted(map(repr, found)) == sorted(map(repr, find(resources)))
    assert len(found) == 5


def test_the_monitor_goes_on_where_its_last_round_ended(resources: Resources) -> None:
    put(resources, "incoming/01/a.dcm", OLD)
    monitor = ConsistencyMonitor(resources, round_seconds=0)
    with capture_logs() as logged:
        monitor.run_once()
        assert logged == []
        monitor.run_once()
    assert [line["what"] for line in logged] == ["incoming/01/a.dcm"]


def test_a_monitor_that_is_stopped_tells_of_nothing(resources: Resources) -> None:
    put(resources, "quarantine/a.dcm", OLD)
    monitor = ConsistencyMonitor(resources)
    monitor.stop()
    with capture_logs() as logged:
        monitor.run_once()
    assert logged == []


def test_the_process_names_no_more_findings_than_it_may_and_counts_all(
    resources: Resources,
) -> None:
    for number in range(5):
        put(resources, f"quarantine/{number}", OLD)
    made = compare(resources.sessions, resources.folder, NOW, most=2)
    assert len(made.findings) == 2
    assert made.counts == {Kind.QUARANTINE_UNKNOWN: 5}


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "too slow"])
def test_a_comparison_that_does_not_end_is_ended(resources: Resources, *, stopped: bool) -> None:
    process = ComparisonProcess()
    if stopped:
        process.stop()
    request = Request(
        database_url=resources.sessions.url,
        folder=str(resources.folder.root),
        now=NOW,
        after="",
        seconds=0,
    )
    with pytest.raises(NodeError, match="ended with -9" if stopped else "not end within 0 s"):
        process.run(request, grace_seconds=60 if stopped else 0)


def test_a_database_that_is_away_is_said_in_one_sentence(resources: Resources) -> None:
    request = Request(
        database_url="sqlite:////nowhere/node.sqlite",
        folder=str(resources.folder.root),
        now=NOW,
        after="",
        seconds=0,
    )
    with pytest.raises(NodeError, match=r"\Arows and files cannot be compared: .*\Z"):
        ComparisonProcess().run(request)


def test_a_missing_result_is_told_and_stays_told(resources: Resources) -> None:
    for path in resources.folder.root.glob("results/k1/*.dcm"):
        path.unlink()
    repair(resources)
    (found,) = find(resources)
    assert (found.kind, found.what) == (Kind.RESULT_MISSING, "2.25.2")
    assert found.detail == "2 objects of results/k1"


def test_results_nobody_has_seen_and_old_temporary_files_are_removed(resources: Resources) -> None:
    folder = resources.folder.locate("results/unknown")
    folder.mkdir()
    os.utime(folder, (OLD.timestamp(), OLD.timestamp()))
    put(resources, "tmp/left", OLD)
    assert kinds(resources) == [Kind.RESULT_UNKNOWN, Kind.TEMPORARY_LEFT]

    repair(resources)

    assert kinds(resources) == []
    assert not folder.exists()
    assert resources.folder.locate("results/k1").is_dir()


def test_a_file_without_a_row_is_taken_up(resources: Resources, tmp_path: Path) -> None:
    made = make_phantom(PhantomSpec(slices=1, lesions=0, size=32))
    (source,) = write_series(phantom_datasets(made, seed=1), tmp_path / "ct")
    target = resources.folder.locate("incoming/00/a-b.dcm")
    shutil.copy(source, target)
    os.utime(target, (OLD.timestamp(), OLD.timestamp()))
    assert kinds(resources) == [Kind.NOT_INDEXED]

    repair(resources)

    assert kinds(resources) == []
    with resources.sessions() as session:
        assert len(overview(session).series) == 2


def test_the_quarantine_and_its_rows_are_brought_together(resources: Resources) -> None:
    put(resources, "quarantine/a.dcm", OLD)
    assert kinds(resources) == [Kind.QUARANTINE_UNKNOWN]
    repair(resources)
    assert kinds(resources) == []

    resources.folder.locate("quarantine/a.dcm").unlink()
    assert kinds(resources) == [Kind.QUARANTINE_MISSING]
    repair(resources)
    assert kinds(resources) == []


def test_what_is_stuck_goes_on(resources: Resources) -> None:
    arrive(resources, "2.25.13", at=OLD)
    with resources.sessions.begin() as session:
        claim_next(session, OLD)
        for row in session.query(Delivery):
            row.state, row.next_at = DeliveryState.SENDING, OLD
    assert kinds(resources) == [Kind.ANALYSING_STUCK, Kind.SENDING_STUCK, Kind.SENDING_STUCK]

    repair(resources)

    assert kinds(resources) == []
    assert line(resources).state is SeriesState.STABLE
    assert line(resources).deliveries == {DeliveryState.PENDING: 2}


def test_a_series_with_nothing_left_to_send_ends(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        for row in session.query(Delivery):
            row.state = DeliveryState.ACCEPTED
    assert kinds(resources) == [Kind.NOTHING_TO_SEND]

    repair(resources)

    assert line(resources).state is SeriesState.DELIVERED


def test_a_disagreement_is_logged_once(resources: Resources) -> None:
    put(resources, "quarantine/a.dcm", OLD)
    watch = ConsistencyMonitor(resources)
    with capture_logs() as logged:
        watch.run_once()
        watch.run_once()
    assert [line["event"] for line in logged] == ["disagreement_found"]


def test_looking_keeps_nobody_from_writing(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        session.execute(text("UPDATE series SET reason = 'x'"))
        assert find(resources) == []


def test_the_command_says_what_and_mends_only_while_the_node_is_stopped(
    resources: Resources, tmp_path: Path
) -> None:
    ini = tmp_path / "node.ini"
    ini.write_text(f"[storage]\nfolder = {tmp_path}\ndatabase_url = {database_url(tmp_path)}\n")
    put(resources, "quarantine/a.dcm", OLD)
    command = ["doctor", "--config", str(ini)]

    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "quarantined file without a row: quarantine/a.dcm: --mend enters it" in result.output
    with only_node(tmp_path):
        held = CliRunner().invoke(app, [*command, "--mend"])
    assert isinstance(held.exception, AlreadyRunning)
    assert CliRunner().invoke(app, [*command, "--mend"]).output.endswith("agree.\n")


@pytest.mark.parametrize(
    ("path", "kind", "settled"),
    [
        ("incoming/00/new.dcm", Kind.NOT_INDEXED, timedelta(minutes=10)),
        ("quarantine/new.dcm", Kind.QUARANTINE_UNKNOWN, timedelta(minutes=10)),
        ("results/new", Kind.RESULT_UNKNOWN, timedelta(days=1)),
        ("tmp/new", Kind.TEMPORARY_LEFT, timedelta(days=1)),
    ],
)
def test_a_file_is_told_of_when_its_row_should_have_followed(
    resources: Resources, path: str, kind: Kind, settled: timedelta
) -> None:
    put(resources, path, NOW - settled + timedelta(minutes=1))
    assert kinds(resources) == []
    put(resources, path, NOW - settled - timedelta(minutes=1))
    assert kinds(resources) == [kind]


def test_doctor_goes_on_where_a_folder_cannot_be_read(resources: Resources, tmp_path: Path) -> None:
    ini = tmp_path / "node.ini"
    ini.write_text(f"[storage]\nfolder = {tmp_path}\ndatabase_url = {database_url(tmp_path)}\n")
    make_unreadable(resources.folder.locate("incoming/00"))
    put(resources, "quarantine/a.dcm", OLD)
    result = CliRunner().invoke(app, ["doctor", "--config", str(ini)])
    assert result.exit_code == 1
    assert "cannot be read: incoming/00 (Too many levels of symbolic links): look" in result.output
    assert "quarantine/a.dcm" in result.output
