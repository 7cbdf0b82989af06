"""A storage folder on a read-only disk: it is said as what it is, and copies can be made of it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from config.reader import load
from dicom_node.assembly.resources import open_resources
from dicom_node.cli.app import main
from dicom_node.cli.exit_codes import ExitStatus, status_of
from dicom_node.errors import FolderAway
from dicom_node.folder_lock import only_node
from dicom_node.maintenance.backup import make_backup, verify_backup
from storage.database.engine import open_database, reading
from storage.files.installation import draw_installation
from storage.files.removal_lock import may_remove
from tests.support.dispatcher_samples import NOW, RESULT, Workers, dispatcher
from tests.support.dispatcher_samples import open_resources as node_with_data
from tests.support.node_process import INI
from tests.unit.dicom_node.maintenance.test_retention import arrive

SERIES = "2.25.2"
Ended = tuple[int, str]


def run(*command: str) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode


def remount(disk: Path, how: str) -> None:
    assert not run("mount", "-o", f"remount,{how}", str(disk))


@pytest.fixture
def ini(tmp_path: Path) -> Iterator[Path]:
    """A stopped node with a series, all of it on a disk that has become read-only."""
    disk = tmp_path / "disk"
    (disk).mkdir()
    if run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)):
        pytest.skip("a disk cannot be mounted here: that takes root and its capabilities")
    try:
        (disk / "data").mkdir()
        resources = node_with_data(disk / "data")
        draw_installation(resources.folder.root)
        arrive(resources, "2.25.11", "2.25.12")
        dispatcher(resources, Workers(RESULT)).dispatch()
        resources.close()
        file = tmp_path / "node.ini"
        content = INI.format(port=11112, pacs_port=104, quiet=1, more="")
        file.write_text(content.replace("folder = data", "folder = disk/data"))
        open_resources(load(file)).close()
        remount(disk, "ro")
        yield file
    finally:
        run("umount", "--lazy", str(disk))


@pytest.fixture
def call(
    ini: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Run a command; give its exit status, and what it said."""

    def ended(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["dicom-node", *words, "--config", str(ini)])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), capsys.readouterr().err
        return 0, capsys.readouterr().err

    return ended


def test_a_backup_and_an_export_can_be_made_of_it(
    ini: Path, tmp_path: Path, call: Callable[..., Ended]
) -> None:
    backup = make_backup(load(ini), ini, tmp_path / "backups", NOW)

    assert verify_backup(backup).faults == []
    with sqlite3.connect(backup / "database.sqlite") as copy:
        assert copy.execute("SELECT series_instance_uid FROM series").fetchall() == [(SERIES,)]
    assert call("export", str(tmp_path / "out"), "--series", SERIES)[0] == ExitStatus.DONE
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 4
    assert call("status")[0] == ExitStatus.DONE


@pytest.mark.parametrize(
    "words",
    [
        "erase --yes --series 2.25.2",
        "reinject --all",
        "doctor --mend",
        "destinations pause PACS",
    ],
)
def test_what_would_write_says_that_it_is_read_only(words: str, call: Callable[..., Ended]) -> None:
    status, said = call(*words.split())

    assert status == ExitStatus.LATER
    assert "read-only file system" in said.lower()
    assert "Traceback" not in said


def test_a_start_ends_with_the_same_status(ini: Path) -> None:
    with (
        pytest.raises(FolderAway, match="Read-only file system") as fault,
        only_node(load(ini).storage.folder),
    ):
        pass

    assert status_of(fault.value) == ExitStatus.LATER


def test_a_log_that_cannot_be_read_in_is_said_as_what_it_is(
    ini: Path, call: Callable[..., Ended]
) -> None:
    disk = ini.parent / "disk"
    remount(disk, "rw")
    file = disk / "data" / "node.sqlite"
    with sqlite3.connect(file) as writer:
        writer.execute("CREATE TABLE more (number INTEGER)")
        writer.commit()
        shutil.copy(f"{file}-wal", disk / "log")
    writer.close()
    shutil.move(disk / "log", f"{file}-wal")  # as after a power cut, without its index
    remount(disk, "ro")

    status, said = call("status")

    assert status == ExitStatus.LATER
    assert "the disk of the database is a read-only file system (SQLITE_CANTOPEN)" in said


def test_what_was_opened_on_a_read_only_disk_writes_once_it_is_mounted_for_writing(
    ini: Path,
) -> None:
    engine = open_database(load(ini).database_url)
    with reading(engine).connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM series")).scalar() == 1

    remount(ini.parent / "disk", "rw")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE more (number INTEGER)"))
    engine.dispose()

    with may_remove(load(ini).storage.folder) as may:
        assert may
