"""A backup restores the installation elsewhere, whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL, inspect, text

from config.reader import load
from dicom_node.assembly.resources import existing_resources
from dicom_node.assembly.resources import open_resources as make_resources
from dicom_node.database_lease import acquire
from dicom_node.errors import AlreadyRunning, NodeError
from dicom_node.folder_lock import RESTORING, one_of_several, only_node
from dicom_node.maintenance.backup import files_of, make_backup, verify_backup
from dicom_node.maintenance.consistency import find
from dicom_node.maintenance.restore import NOT_OF_A_NODE, restore_backup
from dicom_node.resources import Resources
from storage.backup.copied_files import digest_of, size_of
from storage.backup.digest_list import write_sums
from storage.backup.manifest import (
    DESCRIPTION,
    FOLDER,
)
from storage.database.engine import open_database, opened
from storage.database.lease import read_lease
from storage.errors import DatabaseUnavailable, DatabaseUnusable, StorageError, StorageFull
from storage.files.installation import STATION, installation_of
from storage.files.sums import SUMS
from storage.maintenance.consistency import Kind
from tests.support.databases import database_url
from tests.support.dispatcher_samples import NOW
from tests.unit.dicom_node.maintenance.test_backup import (  # some are fixtures
    backup,
    content,
    counts,
    elsewhere,
    ini,
    resources,
)
from tests.unit.dicom_node.maintenance.test_backup_description import described_as

__all__ = ["backup", "ini", "resources"]  # fixtures

pytestmark = pytest.mark.database


def test_everything_is_there_again_elsewhere(
    resources: Resources, backup: Path, tmp_path: Path
) -> None:
    settings = elsewhere(tmp_path)

    restore_backup(backup, settings)

    assert content(settings.storage.folder) == content(resources.folder.root)
    assert counts(settings.database_url) == counts(database_url(resources.folder.root))
    restored = existing_resources(settings)
    with restored.sessions.reading() as session:
        lease_read = read_lease(session)
    assert lease_read is not None
    assert not lease_read.is_held  # whoever held it when it was copied is not here
    assert installation_of(restored.folder.root) == installation_of(resources.folder.root)
    lease = acquire(restored, silent_seconds=0)  # nobody is waited for
    assert [finding.kind for finding in find(restored)] == [Kind.COPY_RESTORED]
    lease.stop()
    restored.close()


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [change, Path.unlink])
@pytest.mark.parametrize("pattern", ["database.*", "folder/incoming/*/*", "folder/station"])
def test_a_harmed_backup_is_told_of_and_not_restored(
    backup: Path, tmp_path: Path, pattern: str, harm: Callable[[Path], None]
) -> None:
    harmed = next(iter(sorted(backup.glob(pattern))))
    harm(harmed)
    settings = elsewhere(tmp_path)

    (fault,) = verify_backup(backup).faults
    assert harmed.relative_to(backup).as_posix() in fault
    with pytest.raises((StorageError, NodeError)):
        restore_backup(backup, settings)
    assert held(settings.storage.folder) == set()
    harmed.unlink(missing_ok=True)


def test_nothing_is_written_over(backup: Path, tmp_path: Path) -> None:
    settings = elsewhere(tmp_path)
    (settings.storage.folder / "station").write_text("mine")

    with pytest.raises(NodeError, match=r"expected an empty folder, found station"):
        restore_backup(backup, settings)

    (settings.storage.folder / "station").unlink()
    database = open_database(settings.database_url)
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
    database.dispose()
    with pytest.raises(
        (DatabaseUnusable, NodeError), match=r"expected an empty|of something else \(theirs"
    ):
        restore_backup(backup, settings)


def test_a_backup_of_a_newer_version_is_refused(backup: Path, tmp_path: Path) -> None:
    described_as(backup, revision="9999")

    with pytest.raises(DatabaseUnusable, match="newer version"):
        restore_backup(backup, elsewhere(tmp_path))


def test_no_node_starts_while_a_backup_is_restored(backup: Path, tmp_path: Path) -> None:
    settings = elsewhere(tmp_path)
    refused: list[str] = []

    def start() -> None:
        with (
            pytest.raises(AlreadyRunning, match="a restore fills it") as raised,
            only_node(settings.storage.folder),
        ):
            raise AssertionError("expected that it does not start")
        refused.append(str(raised.value))

    restore_backup(backup, settings, step=start)

    assert refused
    with only_node(settings.storage.folder):
        assert RESTORING not in held(settings.storage.folder)


def test_a_database_that_somebody_made_meanwhile_stays_as_it_is(
    backup: Path, tmp_path: Path
) -> None:
    settings = elsewhere(tmp_path)

    def make() -> None:
        with opened(settings.database_url) as database, database.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS series (id INTEGER)"))
            connection.execute(text("INSERT INTO series VALUES (1)"))

    told = r'found one|pg_restore failed .* relation "series" already exists'
    with pytest.raises((DatabaseUnusable, DatabaseUnavailable), match=told):
        restore_backup(backup, settings, step=make)

    with opened(settings.database_url) as database, database.connect() as connection:
        assert inspect(connection).get_table_names() == ["series"]
        assert connection.execute(text("SELECT count(*) FROM series")).scalar_one() > 0
    assert RESTORING not in held(settings.storage.folder)


def test_a_disk_that_is_full_meanwhile_leaves_the_folder_empty(
    backup: Path, tmp_path: Path
) -> None:
    settings = elsewhere(tmp_path)

    def fail() -> None:
        Path("/dev/full").write_bytes(b"x")  # the system's own ENOSPC

    with pytest.raises(StorageFull, match="No space left on device: the backup is not restored"):
        restore_backup(backup, settings, step=fail)

    assert {entry.name for entry in settings.storage.folder.iterdir()} <= NOT_OF_A_NODE


def test_a_folder_that_was_restored_in_part_is_not_worked_with(tmp_path: Path) -> None:
    (tmp_path / RESTORING).mkdir()

    for use in (only_node(tmp_path), one_of_several(tmp_path, "a")):
        with (
            pytest.raises(NodeError, match="a restore into it is under way, or was broken off"),
            use,
        ):
            raise AssertionError("expected that it is refused")


def held(folder: Path) -> set[str]:
    """Names in a storage folder, but for locks, which stay."""
    return {path.name for path in folder.iterdir()} - NOT_OF_A_NODE


@pytest.mark.parametrize("name", ["node data", "Größe 5%+", "a%20b", "linked"])
def test_the_database_is_no_part_of_the_folder_however_it_is_written(
    tmp_path: Path, name: str
) -> None:
    """Copied while it is worked on it would be torn, and put in the place of the good copy."""
    folder = tmp_path / name
    (tmp_path / "real").mkdir()
    folder.symlink_to(tmp_path / "real") if name == "linked" else folder.mkdir()
    ini = tmp_path / "dicom-node.ini"
    ini.write_text(f"[storage]\nfolder = {name}\n")
    settings = load(ini)
    resources = make_resources(settings)
    url = URL.create("sqlite", database=str((tmp_path / "real").resolve() / "node.sqlite"))
    written = url.render_as_string() if name == "linked" else settings.database_url

    assert (folder / "node.sqlite-wal").exists()
    assert {path.name for path in files_of(folder, written)} == {STATION}
    backup = make_backup(settings, ini, tmp_path / "backups", NOW)
    resources.close()

    torn = backup / FOLDER / "node.sqlite-wal"  # as programs before copied it
    torn.write_text("torn")
    described_as(backup, **listed_anew(backup))
    place = tmp_path / "elsewhere" / name
    place.mkdir(parents=True)
    ini = place.parent / "dicom-node.ini"
    ini.write_text(f"[storage]\nfolder = {name}\n")
    restore_backup(backup, load(ini))
    assert held(place) == {"node.sqlite", STATION}


def listed_anew(backup: Path) -> dict[str, object]:
    """Write the list of digests anew; give what a description says of it."""
    names = [path for path in backup.rglob("*") if path.is_file()]
    digests = {
        path.relative_to(backup).as_posix(): digest_of(path)
        for path in names
        if path.name not in (SUMS, DESCRIPTION)
    }
    (backup / SUMS).unlink()
    write_sums(backup, digests)
    return {
        "files": len(digests),
        "bytes": size_of(backup, digests),
        "sums_sha256": digest_of(backup / SUMS),
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_what_root_restores_is_of_the_owner_of_the_folder(backup: Path, tmp_path: Path) -> None:
    settings = elsewhere(tmp_path)
    folder, node = settings.storage.folder, os.geteuid() + 1
    os.chown(folder, node, node)

    restore_backup(backup, settings)

    assert held(folder) >= {"incoming", "station"}
    assert {path.stat().st_uid for path in folder.rglob("*")} == {node}
