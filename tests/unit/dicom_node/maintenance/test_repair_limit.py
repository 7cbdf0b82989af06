"""A repair with the folder away, or of another database, is refused; back again, all stands."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs
from typer.testing import CliRunner

from config.reader import load
from dicom_node.assembly.resources import existing_resources, open_resources
from dicom_node.cli.app import app
from dicom_node.database_lease import holding
from dicom_node.errors import NodeError
from dicom_node.folder_lock import only_node
from dicom_node.maintenance.consistency import (
    AWAY,
    FOLDER,
    MOST_LOGGED,
    ConsistencyMonitor,
    folder_is_away,
    repair,
)
from dicom_node.preflight.faults import faults
from dicom_node.reception.ingest import rescan
from dicom_node.resources import Resources
from storage.database.schema import Instance
from storage.files.installation import STATION, draw_installation
from storage.maintenance.consistency import Kind
from storage.maintenance.repair_limit import MOST_CHANGES, Change, is_excessive
from storage.series.instances import record_instance
from storage.series.lifecycle import close, receiving
from storage.states import SeriesState
from tests.support import dispatcher_samples as samples
from tests.support.databases import database_url
from tests.support.dispatcher_samples import NOW, RESULT, Workers, dispatcher, line
from tests.support.samples.received_series import SERIES, STUDY, receive
from tests.unit.dicom_node.maintenance.test_retention import deliver, instance, put

pytestmark = pytest.mark.database

OLD = NOW - timedelta(days=2)


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """A series of three instances, analysed and delivered."""
    resources = samples.open_resources(tmp_path)
    receive(resources)
    dispatcher(resources, Workers(RESULT)).dispatch()
    deliver(resources)
    return resources


def kept(resources: Resources) -> int:
    with resources.sessions() as session:
        count = select(func.count()).select_from(Instance).where(Instance.purged_at.is_(None))
        return session.scalar(count) or 0


def take_away(resources: Resources) -> None:
    for path in (resources.folder.root / "incoming").iterdir():
        path.rename(resources.folder.root / f"away-{path.name}")
    resources.folder.locate("incoming").rmdir()
    resources.folder.locate("incoming").mkdir()


def bring_back(resources: Resources) -> None:
    for path in resources.folder.root.glob("away-*"):
        path.rename(resources.folder.root / "incoming" / path.name.removeprefix("away-"))


@pytest.mark.parametrize(
    ("count", "total", "too_many"),
    [
        (0, 0, False),
        (1, 1, False),
        (2, 2, True),
        (MOST_CHANGES, 25, False),
        (MOST_CHANGES + 1, 25, True),
        (MOST_CHANGES + 1, 100 * MOST_CHANGES, False),
        (288, 288, True),
    ],
)
def test_the_limit_is_a_number_and_a_share(count: int, total: int, *, too_many: bool) -> None:
    change = Change(kind=Kind.INSTANCES_MISSING, count=count, total=total)
    assert is_excessive(change) is too_many


def test_a_repair_with_the_files_away_is_refused_and_changes_nothing(
    resources: Resources,
) -> None:
    take_away(resources)

    with pytest.raises(NodeError, match=r"instances without files: 3 of 3.*--force"):
        repair(resources)

    assert kept(resources) == 3


def test_files_that_are_back_change_nothing(resources: Resources) -> None:
    take_away(resources)
    repair(resources, force=True)
    assert kept(resources) == 0
    bring_back(resources)

    repair(resources)

    assert kept(resources) == 3
    seen = line(resources)
    assert (seen.state, seen.generation) == (SeriesState.DELIVERED, 1)
    assert rescan(resources) == 0


def test_files_that_were_missed_by_the_analysis_are_analysed_when_back(
    resources: Resources,
) -> None:
    take_away(resources)
    repair(resources, force=True)
    late = replace(instance("2.25.99"), series_instance_uid=SERIES, study_instance_uid=STUDY)
    put(resources, late.path)
    with resources.sessions.begin() as session:
        record_instance(session, late, NOW)
        for quiet in receiving(session):
            close(session, quiet, NOW)
    dispatcher(resources, Workers(), wanted="no").dispatch()
    assert line(resources).reason.startswith("instances-removed: 3 of its 4")
    resources.folder.locate(late.path).unlink()  # it is no DICOM file
    bring_back(resources)

    rescan(resources)

    assert (line(resources).state, line(resources).generation) == (SeriesState.RECEIVING, 3)


def test_results_of_another_database_are_not_removed(resources: Resources) -> None:
    for number in range(MOST_CHANGES + 5):
        folder = resources.folder.locate(f"results/of-another-{number}")
        folder.mkdir()
        os.utime(folder, (OLD.timestamp(), OLD.timestamp()))

    with pytest.raises(NodeError, match="result folder without a row: 25 of 26"):
        repair(resources)

    assert len(resources.folder.paths("results/*")) == MOST_CHANGES + 6


def test_a_running_node_tells_of_it_as_a_fault_and_a_few_lines(resources: Resources) -> None:
    for number in range(MOST_LOGGED + 5):
        put(resources, f"quarantine/{number}", OLD)
    take_away(resources)
    monitor = ConsistencyMonitor(resources)

    with capture_logs() as logged:
        monitor.run_once()
        monitor.run_once()

    of_quarantine = [entry for entry in logged if entry["kind"] is Kind.QUARANTINE_UNKNOWN]
    assert len(of_quarantine) == MOST_LOGGED + 1
    assert of_quarantine[-1]["what"] == "5 more: see dicom-node doctor"
    assert [fault.part for fault in resources.health.snapshot()] == [FOLDER]
    bring_back(resources)
    monitor.run_once()
    assert resources.health.snapshot() == ()


def test_retention_judges_nothing_while_the_folder_is_away(resources: Resources) -> None:
    assert not folder_is_away(resources)
    station = resources.folder.locate(STATION)
    text = station.read_text()
    station.unlink()
    assert folder_is_away(resources)
    assert [fault.part for fault in resources.health.snapshot()] == [AWAY]
    station.write_text(text)
    assert not folder_is_away(resources)
    assert resources.health.snapshot() == ()


def test_a_folder_that_cannot_be_written_is_named(resources: Resources) -> None:
    results = resources.folder.locate("results")
    results.rename(results.with_name("elsewhere"))
    results.touch()
    assert folder_is_away(resources)
    (fault,) = resources.health.snapshot()
    assert f"{results} cannot be written" in fault.reason
    assert not fault.receiving


@pytest.fixture
def elsewhere(resources: Resources, tmp_path: Path) -> Path:
    """Settings with the database of `resources` and an empty folder."""
    assert kept(resources) == 3
    ini = tmp_path / "node.ini"
    ini.write_text(f"[storage]\nfolder = empty\ndatabase_url = {database_url(tmp_path)}\n")
    return ini


def test_a_start_with_an_empty_folder_is_refused_unless_told(elsewhere: Path) -> None:
    settings = load(elsewhere)
    with pytest.raises(NodeError, match=r"is it mounted\? `dicom-node run --new-folder`"):
        open_resources(settings)
    assert any("is it mounted?" in fault for fault in faults(settings))  # and `check` says so
    assert not settings.storage.folder.joinpath(STATION).exists()

    open_resources(settings, any_folder=True).close()

    open_resources(settings).close()


def test_a_folder_of_another_installation_is_not_the_one(
    elsewhere: Path, resources: Resources, tmp_path: Path
) -> None:
    with only_node(tmp_path), holding(resources):
        pass
    settings = load(elsewhere)
    settings.storage.folder.joinpath("tmp").mkdir(parents=True)
    draw_installation(settings.storage.folder)

    with pytest.raises(NodeError, match="which is of another installation"):
        existing_resources(settings)


def test_doctor_says_that_the_folder_is_not_the_one(elsewhere: Path, resources: Resources) -> None:
    with pytest.raises(NodeError, match="in which no node has run"):
        existing_resources(load(elsewhere))
    answer = CliRunner().invoke(app, ["doctor", "--mend", "--config", str(elsewhere)])
    assert isinstance(answer.exception, NodeError)
    assert kept(resources) == 3

    forced = ["doctor", "--mend", "--force", "--config", str(elsewhere)]
    answer = CliRunner().invoke(app, forced)
    assert "is the storage folder mounted?" in str(answer.exception)
    assert kept(resources) == 3

    open_resources(load(elsewhere), any_folder=True).close()
    CliRunner().invoke(app, forced)
    assert kept(resources) == 0
