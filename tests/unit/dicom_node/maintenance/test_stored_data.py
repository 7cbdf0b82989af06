"""Export, erasure, and re-ingest of quarantined files."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import func, insert, select
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.errors import AlreadyRunning, NodeError
from dicom_node.folder_lock import is_running, only_node
from dicom_node.maintenance.confirmed_clock import ConfirmedClock
from dicom_node.maintenance.retention import RetentionJob, RowRetention
from dicom_node.maintenance.stored_data import chosen, erase, export, reinject
from dicom_node.resources import Resources
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.schema import Base, Notification, NotifiedSeries
from storage.files.folder import StorageFolder
from storage.maintenance.retention import RetentionRules
from storage.overview import overview
from storage.series.closings import record_closing
from storage.series.lifecycle import OpenSeries
from storage.series.quarantine_and_refusals import record_quarantine
from tests.support.databases import database_url
from tests.support.dispatcher_samples import NOW, RESULT, Workers, dispatcher, line, open_resources
from tests.unit.dicom_node.maintenance.test_retention import (
    KEPT,
    Killed,
    arrive,
    deliver,
    files,
    put,
)

pytestmark = pytest.mark.database

SERIES = "2.25.2"


@pytest.fixture(autouse=True)
def fresh_structlog() -> Iterator[None]:
    yield
    structlog.reset_defaults()  # the stream of a command is closed when it ends


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """A series of two instances, encoded."""
    (tmp_path / "data").mkdir()
    resources = open_resources(tmp_path / "data")
    arrive(resources, "2.25.11", "2.25.12")
    dispatcher(resources, Workers(RESULT)).dispatch()
    return resources


OF_NO_SERIES = {
    *("capability", "digest_key", "drift_finding", "lease", "notification"),
    "erased_result",
}
"""Tables whose rows are of the node, of a destination, of a scanner or of a procedure step; and
what is kept of erased results, without identity."""


def rows(resources: Resources) -> int:
    tables = [table for name, table in Base.metadata.tables.items() if name not in OF_NO_SERIES]
    with resources.sessions() as session:
        return sum(session.scalar(select(func.count()).select_from(table)) or 0 for table in tables)


def test_what_is_kept_is_copied_under_names_of_our_own(
    resources: Resources, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    assert export(resources, chosen(resources, None, "2.25.3"), out) == 4

    copied = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.dcm"))
    assert copied == [
        "0001/received/00001.dcm",
        "0001/received/00002.dcm",
        "0001/result-1/00001.dcm",
        "0001/result-1/00002.dcm",
    ]
    assert files(resources) == KEPT
    with pytest.raises(NodeError, match="empty folder"):
        export(resources, [SERIES], out)


def test_a_folder_that_cannot_be_made_is_said(resources: Resources, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file/out"):
        export(resources, [SERIES], tmp_path / "file" / "out")
    with pytest.raises(NodeError, match=r"\[storage\] folder"), only_node(tmp_path / "file" / "x"):
        pass


def test_what_is_lost_is_told_and_the_rest_copied(resources: Resources, tmp_path: Path) -> None:
    next(resources.folder.root.rglob("2.25.11.dcm")).unlink()

    with pytest.raises(NodeError, match="copied 3 files; 1 are not where"):
        export(resources, [SERIES], tmp_path / "out")

    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 3


def test_nothing_is_left_of_what_is_erased(resources: Resources) -> None:
    deliver(resources)
    refer_to_it(resources)

    erase(resources, [SERIES])

    assert files(resources) == []
    assert rows(resources) == 0


def refer_to_it(resources: Resources) -> None:
    """Enter rows about the series in the tables that no other fixture fills."""
    now = resources.clock()
    with resources.sessions.begin() as session:
        series = OpenSeries(
            series_instance_uid=SERIES, generation=1, instances=2, calling_ae="CT1", last_at=now
        )
        record_closing(session, series, "quiet-time", 60.0, now)
        session.execute(
            insert(Notification).values(
                sop_instance_uid="2.25.70",
                kind="mpps",
                status="completed",
                calling_ae="CT1",
                received_at=now,
                changed_at=now,
            )
        )
        session.execute(
            insert(NotifiedSeries).values(
                notification_uid="2.25.70", series_instance_uid=SERIES, instances="[]", count=0
            )
        )


def test_nothing_is_erased_while_something_is_under_way(resources: Resources) -> None:
    deliver(resources)
    arrive(resources, "2.25.21", "2.25.22")  # the same series, a new generation
    before = rows(resources)

    with pytest.raises(NodeError, match="under way"):
        erase(resources, [SERIES])

    assert rows(resources) == before
    assert len(files(resources)) == len(KEPT) + 2


def test_what_a_crash_leaves_of_an_erasure_goes_and_never_comes_back(resources: Resources) -> None:
    deliver(resources)

    def crash(_: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        erase(
            replace(resources, folder=StorageFolder(resources.folder.root, 0, step=crash)), [SERIES]
        )
    assert len(files(resources)) == len(KEPT) - 1
    assert line(resources).instances == 2

    erase(resources, [SERIES])

    assert files(resources) == []
    assert rows(resources) == 0


def test_a_purged_series_can_be_erased(resources: Resources) -> None:
    deliver(resources)
    later = NOW + timedelta(days=3650)
    clock = ConfirmedClock(lambda: later)
    clock.look(later)
    rules = RetentionRules(keep=timedelta(days=30))
    at_that_time = replace(resources, clock=lambda: later)
    RetentionJob(
        resources=at_that_time, rules=rules, clock=clock, rows=RowRetention(resources=resources)
    ).run_once()
    assert files(resources) == []

    erase(resources, [SERIES])

    assert rows(resources) == 0


@pytest.mark.parametrize(("series", "study"), [(None, None), ("1", "2"), ("1", None)])
def test_it_must_be_said_which_and_it_must_be_there(
    resources: Resources, series: str | None, study: str | None
) -> None:
    with pytest.raises(NodeError, match="expected"):
        chosen(resources, series, study)


def quarantined(resources: Resources, source: Path) -> str:
    kept = resources.folder.keep([source.read_bytes()], name_from="1")
    path = resources.folder.quarantine(kept.path)
    with resources.sessions.begin() as session:
        record_quarantine(session, path, NOW, reason="r", calling_ae="CT1")
    return path


def test_what_can_be_understood_by_now_comes_out_of_quarantine(
    resources: Resources, tmp_path: Path
) -> None:
    made = make_phantom(PhantomSpec(slices=1, lesions=0, size=32))
    (source,) = write_series(phantom_datasets(made, seed=1), tmp_path / "ct")
    path = quarantined(resources, source)

    assert reinject(resources, [path]) == 1

    with resources.sessions() as session:
        current = overview(session)
    assert (len(current.series), current.quarantine) == (2, ())


def test_what_still_cannot_be_understood_comes_back(resources: Resources, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"not dicom")
    path = quarantined(resources, tmp_path / "bad")

    assert reinject(resources, None) == 1

    with resources.sessions() as session:
        (left,) = overview(session).quarantine
    assert (left.path, left.reason != "r") == (path, True)


def test_only_what_is_in_quarantine_can_be_reinjected(resources: Resources) -> None:
    put(resources, "quarantine/a.dcm")
    with pytest.raises(NodeError, match=r"not there: quarantine/node\.sqlite"):
        reinject(resources, ["../node.sqlite"])
    assert "a.dcm" in files(resources)


def test_the_commands(resources: Resources, tmp_path: Path) -> None:
    deliver(resources)
    ini = tmp_path / "node.ini"
    url = database_url(tmp_path / "data")
    ini.write_text(f"[storage]\nfolder = data\ndatabase_url = {url}\n")
    more = ["--series", SERIES, "--config", str(ini)]

    export_run = CliRunner().invoke(app, ["export", str(tmp_path / "out"), *more])
    assert any(line.startswith("4 files in ") for line in export_run.output.splitlines())
    erase_run = CliRunner().invoke(app, ["erase", *more])
    assert isinstance(erase_run.exception, NodeError)
    assert not is_running(resources.folder.root)
    with only_node(resources.folder.root):
        assert is_running(resources.folder.root)
        held = CliRunner().invoke(app, ["erase", *more, "--yes"])
    assert isinstance(held.exception, AlreadyRunning)
    done = CliRunner().invoke(app, ["erase", *more, "--yes"])
    assert "1 series erased here" in done.output
    assert rows(resources) == 0
    none = CliRunner().invoke(app, ["reinject", "--all", "--config", str(ini)])
    assert "0 files read" in none.output
