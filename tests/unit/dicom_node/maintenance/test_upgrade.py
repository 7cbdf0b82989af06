"""The tables are changed only after a backup of just before, and while the node is stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import inspect
from typer.testing import CliRunner

from config.reader import load
from dicom_node.assembly.resources import existing_resources
from dicom_node.assembly.resources import open_resources as open_as_a_node_does
from dicom_node.cli.app import app
from dicom_node.database_lease import acquire
from dicom_node.errors import AlreadyRunning, NodeError
from dicom_node.folder_lock import only_node
from dicom_node.maintenance.backup import make_backup
from dicom_node.resources import Resources
from storage.backup.manifest import DESCRIPTION, DIGEST, WITHOUT_LEASE
from storage.database.engine import open_database, revision_of
from storage.database.revisions import downgrade, newest
from storage.errors import DatabaseUnusable, StorageError
from storage.files.installation import STATION, draw_installation
from tests.support.databases import database_url
from tests.support.dispatcher_samples import RESULT, Workers, dispatcher, open_resources
from tests.unit.dicom_node.maintenance.test_backup import counts, settings_file
from tests.unit.dicom_node.maintenance.test_retention import arrive, deliver

pytestmark = pytest.mark.database

OLDER = f"{int(newest()) - 1:04d}"  #: the revision before this program's
Run = Callable[..., Result]


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """A node that has received, analysed and delivered, and is stopped."""
    (tmp_path / "data").mkdir()
    resources = open_resources(tmp_path / "data")
    draw_installation(resources.folder.root)
    lease = acquire(resources)
    arrive(resources, "2.25.11", "2.25.12")
    dispatcher(resources, Workers(RESULT)).dispatch()
    deliver(resources)
    lease.stop()
    return resources


@pytest.fixture
def ini(tmp_path: Path, resources: Resources) -> Path:
    return settings_file(tmp_path, database_url(resources.folder.root))


@pytest.fixture
def run(ini: Path) -> Run:
    def call(*words: str | Path) -> Result:
        return CliRunner().invoke(app, [*map(str, words), "--config", str(ini)])

    return call


def backed_up(ini: Path, *, at: datetime | None = None) -> Path:
    return make_backup(load(ini), ini, ini.parent / "backups", at or datetime.now(UTC))


def go_back(ini: Path, revision: str = OLDER) -> None:
    database = open_database(load(ini).database_url)
    downgrade(database, revision)
    database.dispose()


def revision(ini: Path) -> str | None:
    database = open_database(load(ini).database_url)
    found = revision_of(database)
    database.dispose()
    return found


def tables(ini: Path) -> set[str]:
    """Names of the tables that the database has, but for that of its revision."""
    database = open_database(load(ini).database_url)
    found = set(inspect(database).get_table_names()) - {"alembic_version"}
    database.dispose()
    return found


def test_an_older_database_comes_up_to_date_with_everything_in_it(
    ini: Path, run: Run, resources: Resources
) -> None:
    before = counts(load(ini).database_url)
    go_back(ini)
    known = tables(ini)

    refused = run("upgrade")
    assert isinstance(refused.exception, NodeError)
    assert "expected --backup BACKUP" in str(refused.exception)
    said = run("upgrade", "--dry-run")
    assert (said.exit_code, revision(ini)) == (0, OLDER)
    assert f"from {OLDER} to {newest()}" in said.output
    assert f"{newest()} brings: " in said.output
    backup = backed_up(ini)
    said = run("upgrade", "--backup", backup, "--dry-run")
    assert ("nothing was done" in said.output, revision(ini)) == (True, OLDER), said.output
    plan = json.loads(run("upgrade", "--dry-run", "--json").stdout)
    assert (plan["is_done"], plan["backup_made_at"], revision(ini)) == (False, None, OLDER)
    said = run("upgrade", "--backup", backup, "--json")
    assert (said.exit_code, revision(ini)) == (0, newest()), said.output
    made_at = json.loads((backup / DESCRIPTION).read_text())["made_at"]
    assert json.loads(said.stdout) == {**plan, "is_done": True, "backup_made_at": made_at}
    after = counts(load(ini).database_url)
    assert {name: after[name] for name in known} == {name: before[name] for name in known}
    assert "nothing to do" in run("upgrade").output


def test_a_way_back_says_first_what_is_lost(ini: Path, run: Run) -> None:
    backup = backed_up(ini)

    said = run("downgrade", "0021", "--backup", backup)
    assert isinstance(said.exception, NodeError)
    assert "without 0022 is lost: tokens of programs" in said.output
    assert revision(ini) == newest()
    said = run("downgrade", "0021", "--backup", backup, "--yes")
    assert (said.exit_code, revision(ini)) == (0, "0021"), said.output
    said = run("downgrade", newest(), "--backup", backup)
    assert isinstance(said.exception, DatabaseUnusable)
    assert "from before that of the database, 0021" in str(said.exception)


def test_a_backup_of_another_time_or_place_will_not_do(
    ini: Path, run: Run, resources: Resources
) -> None:
    newer = backed_up(ini)
    go_back(ini)
    long_ago = backed_up(ini, at=datetime.now(UTC) - timedelta(hours=30))
    now = datetime.now(UTC) - timedelta(minutes=30)  # names of backups tell seconds apart

    def why(backup: Path, *more: str) -> str:
        ended = run("upgrade", "--backup", backup, *more)
        assert isinstance(ended.exception, NodeError | StorageError), ended.output
        assert revision(ini) == OLDER
        return str(ended.exception)

    assert f"as it is ({OLDER}), got one of {newest()}" in why(newer)
    assert "expected a backup of the last 24 hours" in why(long_ago)
    assert "the last 2 hours" in why(long_ago, "--hours", "2")
    with only_node(resources.folder.root):
        beside = backed_up(ini, at=now)
    assert "got one beside a running node" in why(beside)
    harmed = backed_up(ini, at=now + timedelta(minutes=1))
    (harmed / "folder" / STATION).unlink()
    assert "faults: 1, the first: folder/station: is gone" in why(harmed)
    whole = backed_up(ini, at=now + timedelta(minutes=2))
    station = resources.folder.root / STATION
    mine = station.read_text()
    station.write_text("another")
    assert "expected a backup of this installation" in why(whole)
    station.write_text(mine)
    with only_node(resources.folder.root):
        assert isinstance(run("upgrade", "--backup", whole).exception, AlreadyRunning)
    assert run("upgrade", "--backup", long_ago, "--hours", "40").exit_code == 0


def test_a_backup_from_before_the_last_run_will_not_do(ini: Path, run: Run) -> None:
    before = backed_up(ini)
    acquire(existing_resources(load(ini))).stop()  # as a run of the node does
    after = backed_up(ini, at=datetime.now(UTC) - timedelta(minutes=1))

    ended = run("downgrade", OLDER, "--yes", "--backup", before)
    assert "made after the node's last run" in str(ended.exception)
    assert run("downgrade", OLDER, "--yes", "--backup", after).exit_code == 0


def test_a_backup_of_the_first_format_is_read_but_says_too_little(ini: Path, run: Run) -> None:
    backup = backed_up(ini)
    described = json.loads((backup / DESCRIPTION).read_text())
    del described["lease"], described[DIGEST]
    (backup / DESCRIPTION).write_text(json.dumps({**described, "format": WITHOUT_LEASE}))

    assert run("backup", "verify", backup).exit_code == 2  # it takes no --config
    assert CliRunner().invoke(app, ["backup", "verify", str(backup)]).exit_code == 0
    ended = run("downgrade", OLDER, "--yes", "--backup", backup)
    assert "expected a backup of format 3, got one of format 1" in str(ended.exception)


def test_a_start_leaves_the_tables_alone_where_the_settings_say_so(ini: Path) -> None:
    ini.write_text(ini.read_text().replace("reserve_gb", "migrate_at_start = no\nreserve_gb"))
    settings = load(ini)
    go_back(ini)

    with pytest.raises(DatabaseUnusable, match=r"of an older version .* dicom-node upgrade"):
        open_as_a_node_does(settings)

    ini.write_text(ini.read_text().replace("migrate_at_start = no", "migrate_at_start = yes"))
    open_as_a_node_does(load(ini)).close()
    assert revision(ini) == newest()


def test_a_start_makes_tables_where_there_are_none_whatever_the_settings_say(
    tmp_path: Path,
) -> None:
    place = tmp_path / "new"
    place.mkdir()
    file = settings_file(place, database_url(place / "data", empty=True))
    file.write_text(file.read_text().replace("reserve_gb", "migrate_at_start = no\nreserve_gb"))

    open_as_a_node_does(load(file)).close()

    assert revision(file) == newest()
    shutil.rmtree(place)


def test_without_a_database_there_is_nothing_to_bring_up(ini: Path, tmp_path: Path) -> None:
    place = tmp_path / "new"
    (place / "data").mkdir(parents=True)
    file = settings_file(place, database_url(place / "data", empty=True))

    ended = CliRunner().invoke(app, ["upgrade", "--config", str(file)])

    assert isinstance(ended.exception, DatabaseUnusable)
    assert "the first start of the node makes one" in str(ended.exception)


@pytest.mark.parametrize("hours", ["inf", "nan", "1e300", "-1"])
def test_an_age_that_is_none_is_refused(run: Run, hours: str) -> None:
    assert run("downgrade", OLDER, "--dry-run", "--hours", hours).exit_code == 2


def test_a_backup_from_the_future_will_not_do(ini: Path, run: Run) -> None:
    backup = backed_up(ini, at=datetime.now(UTC) + timedelta(days=3650))

    ended = run("downgrade", OLDER, "--yes", "--backup", backup)

    assert "expected a backup of the past by the clock of this host" in str(ended.exception)
