"""A backup is made while the node works, is checked, and restores the installation elsewhere."""

import os
import resource
import shutil
import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select

from config.reader import load
from config.settings import Settings
from dicom_node.cli.exit_codes import ExitStatus
from dicom_node.database_lease import AGE, acquire
from dicom_node.errors import NodeError
from dicom_node.folder_lock import one_of_several
from dicom_node.health import FILE as CONDITION
from dicom_node.health import Condition, file_of, write_condition
from dicom_node.maintenance.backup import UNFINISHED, files_of, make_backup, verify_backup
from dicom_node.maintenance.stored_data import erase, reinject
from dicom_node.reception.draining import request_drain
from dicom_node.resources import Resources
from storage.backup.manifest import (
    DESCRIPTION,
    FOLDER,
)
from storage.backup.room import ANY_DIGEST, room_for
from storage.database.engine import open_database
from storage.database.schema import Base
from storage.errors import DatabaseUnusable, StorageFull
from storage.files.disk import disk_free
from storage.files.installation import STATION, draw_installation, installation_of
from storage.files.receiver_folder import ReceiverFolder
from storage.files.removal_lock import may_remove, nothing_removed
from storage.files.sums import SUMS
from tests.support.databases import database_url
from tests.support.dispatcher_samples import NOW, RESULT, Workers, dispatcher, open_resources
from tests.support.node_process import INI, in_database, wait_until
from tests.unit.dicom_node.maintenance.test_retention import after, arrive, deliver

pytestmark = pytest.mark.database

SERIES = "2.25.2"


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """A series of two instances, encoded and delivered; a node holds the lease."""
    (tmp_path / "data").mkdir()
    resources = open_resources(tmp_path / "data")
    draw_installation(resources.folder.root)
    arrive(resources, "2.25.11", "2.25.12")
    dispatcher(resources, Workers(RESULT)).dispatch()
    deliver(resources)
    acquire(resources)
    return resources


@pytest.fixture
def ini(tmp_path: Path, resources: Resources) -> Path:
    return settings_file(tmp_path, database_url(resources.folder.root))


@pytest.fixture
def backup(ini: Path, tmp_path: Path) -> Path:
    return make_backup(load(ini), ini, tmp_path / "backups", NOW)


def settings_file(folder: Path, url: str) -> Path:
    file = folder / "dicom-node.ini"
    text = INI.format(port=11112, pacs_port=104, quiet=1, more="")
    file.write_text(in_database(text, url))
    return file


def elsewhere(tmp_path: Path) -> Settings:
    """Settings of an empty place."""
    place = tmp_path / "elsewhere"
    (place / "data").mkdir(parents=True, exist_ok=True)
    return load(settings_file(place, database_url(place / "data", empty=True)))


def counts(url: str) -> dict[str, int]:
    database = open_database(url)
    with database.connect() as connection:
        found = {
            name: connection.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }
    database.dispose()
    return found


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for name in ("incoming", "quarantine", "results", "station", "identity-key")
        for path in (folder / name, *(folder / name).rglob("*"))
        if path.is_file()
    }


def make_sparse(file: Path, size: int) -> None:
    """Make a file that is long, and takes no room."""
    with file.open("wb") as stream:
        stream.truncate(size)


def test_room_is_looked_for_before_the_database_is_copied(
    resources: Resources, ini: Path, tmp_path: Path
) -> None:
    make_sparse(resources.folder.root / "incoming" / "00" / "1.dcm", disk_free(tmp_path) + 1)
    begun: list[str] = []

    with pytest.raises(StorageFull, match=r"backups: expected room for [\d,]+ bytes, got [\d,]+$"):
        make_backup(load(ini), ini, tmp_path / "backups", NOW, step=lambda: begun.append(""))

    assert begun == []
    assert not (tmp_path / "backups").exists()


def test_room_is_that_of_whole_blocks_with_folders_and_the_list_of_digests() -> None:
    files = {"database.sqlite": 4097, "folder/station": 1}

    assert room_for(files, 4096) == 7 * 4096  # 2 + 1, list, description, 2 folders
    assert room_for({f"folder/{number}": 0 for number in range(1000)}, 1) > 1000 * len(ANY_DIGEST)


def test_a_disk_that_is_full_meanwhile_is_named_and_nothing_is_left(
    resources: Resources, ini: Path, tmp_path: Path
) -> None:
    source = resources.folder.root / "incoming" / "00" / "1.dcm"
    make_sparse(source, 3_000_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))  # the database finds room
    try:
        with pytest.raises(OSError, match="File too large") as fault:
            make_backup(load(ini), ini, tmp_path / "backups", NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert str(fault.value.filename).startswith(f"{tmp_path / 'backups'}/")
    assert not (tmp_path / "backups").exists()


def test_a_whole_backup_is_found_whole_and_sha256sum_would_agree(
    backup: Path, resources: Resources
) -> None:
    checked = verify_backup(backup)

    assert checked.faults == []
    assert checked.manifest.installation == installation_of(resources.folder.root)
    files = [path for path in backup.rglob("*") if path.is_file()]
    assert checked.files == checked.manifest.files == len(files) - len((SUMS, DESCRIPTION))
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


@pytest.mark.parametrize("name", ["incoming", "results", "quarantine"])
def test_a_folder_that_was_moved_behind_a_link_is_in_the_backup(
    ini: Path, resources: Resources, tmp_path: Path, name: str
) -> None:
    root = resources.folder.root
    (root / "quarantine" / "odd.dcm").write_bytes(b"odd")
    before = content(root)
    (root / name).rename(tmp_path / "elsewhere")
    (root / name).symlink_to(tmp_path / "elsewhere")

    backup = make_backup(load(ini), ini, tmp_path / "backups", NOW)

    assert content(backup / FOLDER) == before
    assert verify_backup(backup).faults == []


NAMES = (b"odd\xff", b"a\nb", b"back\\slash", b"back\\nslash", "\u2028".encode(), b"  two ")


def test_names_of_any_bytes_are_copied_and_checked(
    ini: Path, resources: Resources, tmp_path: Path
) -> None:
    for name in NAMES:
        (resources.folder.root / "quarantine" / os.fsdecode(name)).write_bytes(name)

    backup = make_backup(load(ini), ini, tmp_path / "backups", NOW)

    assert verify_backup(backup).faults == []
    summed = subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=backup, check=False)
    assert summed.returncode == 0
    copied = backup / FOLDER / "quarantine"
    assert {os.fsencode(path.name) for path in copied.iterdir()} >= set(NAMES)
    (copied / os.fsdecode(NAMES[0])).write_bytes(b"more")
    (fault,) = verify_backup(backup).faults
    assert fault.encode() == rb"folder/quarantine/odd\udcff: its bytes were changed"


def test_where_nothing_is_yet_nothing_is_made(tmp_path: Path) -> None:
    settings = elsewhere(tmp_path)
    ini = tmp_path / "elsewhere" / "dicom-node.ini"

    with pytest.raises(DatabaseUnusable, match="has not been started"):
        make_backup(settings, ini, tmp_path / "backups", NOW)

    assert list(settings.storage.folder.iterdir()) == []
    settings.storage.folder.rmdir()
    with pytest.raises(DatabaseUnusable, match="not mounted"):
        make_backup(settings, ini, tmp_path / "backups", NOW)
    assert not (tmp_path / "backups").exists()


def test_what_was_killed_is_removed_by_the_next_and_no_other(
    ini: Path, resources: Resources, tmp_path: Path
) -> None:
    to = tmp_path / "backups"
    killed = to / f"dicom-node-20250101T000000Z{UNFINISHED}"
    (killed / "folder").mkdir(parents=True)

    def another() -> None:
        if len(list(to.iterdir())) == 1:  # but for ours there is none yet
            make_backup(load(ini), ini, to, NOW + timedelta(seconds=1))

    first = make_backup(load(ini), ini, to, NOW, step=another)

    assert not killed.exists()
    assert len(list(to.iterdir())) == 2
    assert verify_backup(first).faults == []


def test_a_command_that_is_asked_to_end_leaves_nothing_half_made(
    ini: Path, resources: Resources, tmp_path: Path
) -> None:
    to = tmp_path / "backups"
    command = [sys.executable, "-P", "-m", "dicom_node", "backup", "create", str(to)]
    with may_remove(resources.folder.root):  # it waits for that, its folder is made
        started = subprocess.Popen([*command, "--config", str(ini)])
        wait_until(lambda: bool(list(to.glob(f"*{UNFINISHED}"))), seconds=60, what="its folder")
        started.terminate()
        assert started.wait(60) == ExitStatus.TERMINATED

    assert not to.exists()


@pytest.mark.parametrize("inside", [".", "backups", "incoming/backups"])
def test_a_backup_is_never_within_what_it_is_made_of(
    ini: Path, resources: Resources, inside: str
) -> None:
    with pytest.raises(NodeError, match="outside the storage folder"):
        make_backup(load(ini), ini, resources.folder.root / inside, NOW)


def test_a_backup_that_fails_leaves_nothing(
    ini: Path, resources: Resources, tmp_path: Path
) -> None:
    to = tmp_path / "backups"
    copied: list[None] = []

    def fail() -> None:
        copied.append(None)
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageFull, match="backups: its disk is full"):
        make_backup(load(ini), ini, to, NOW, step=fail)

    assert copied
    assert not to.exists()
    make_backup(load(ini), ini, to, NOW)
    with pytest.raises(NodeError, match="is there already"):
        make_backup(load(ini), ini, to, NOW)


def test_nothing_is_removed_while_a_backup_is_made(resources: Resources) -> None:
    job = after(resources, 400)
    before = content(resources.folder.root)

    with nothing_removed(resources.folder.root):
        job.run_once()
        for takes_away in (partial(erase, resources, [SERIES]), partial(reinject, resources, None)):
            with pytest.raises(NodeError, match="a backup is being made"):
                takes_away()
        assert content(resources.folder.root) == before

    job.run_once()
    assert content(resources.folder.root) != before


def test_what_is_of_running_receivers_alone_is_left_out(resources: Resources, ini: Path) -> None:
    """What one of them writes may go at any moment, and its locks are of that host."""
    root, url = resources.folder.root, load(ini).database_url
    before = set(files_of(root, url))
    folder = ReceiverFolder(root, "0" * 32)
    folder.make()
    folder.note("incoming/00/1-2.dcm")
    (folder.temporary / "half").write_bytes(b"half")
    write_condition(root, Condition(written_at=NOW), file_of("a"))
    request_drain(root, "root", NOW, "a")
    with one_of_several(root, "a"):
        assert set(files_of(root, url)) == before
    assert root / STATION in before


def test_what_is_gone_in_a_moment_is_left_out(resources: Resources, ini: Path) -> None:
    """A node that runs writes such files beside those that they replace."""
    root, url = resources.folder.root, load(ini).database_url
    before = set(files_of(root, url))
    for name in (f".{CONDITION}", f".{file_of('a')}", f".{AGE}", ".notices.json.17.part"):
        (root / name).write_text("half")

    assert set(files_of(root, url)) == before


def test_a_link_in_the_storage_folder_is_not_followed(
    ini: Path, resources: Resources, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("other people's")
    (resources.folder.root / "incoming" / "link").symlink_to(tmp_path / "secret")

    backup = make_backup(load(ini), ini, tmp_path / "backups", NOW)

    assert not list(backup.rglob("link"))
    shutil.rmtree(backup)
