"""One process works on a database: who is refused, who waits, who notices that it was replaced."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dicom_node.database_lease import (
    FOLDER_OLDER,
    OLDER,
    Age,
    DatabaseLease,
    acquire,
    read_age,
    which_is_older,
    write_age,
)
from dicom_node.errors import NodeError
from dicom_node.maintenance.consistency import find, repair
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status_codes import OUT_OF_RESOURCES
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.lease import Holder, Lease, read_lease
from storage.database.sessions import Sessions
from storage.errors import DatabaseUnavailable, LeaseLost
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation
from storage.maintenance.consistency import Kind
from tests.support.databases import migrated_database
from tests.support.dispatcher_samples import NOW
from tests.support.reception import kept_files

pytestmark = pytest.mark.database

SOON = 0.1  #: seconds of silence after which these tests take a holder for dead


class Host:
    """Folders on one host, and the one database that they are made to share."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.opened = ExitStack()

    def resources(self, folder: str = "data") -> Resources:
        database = migrated_database(self.place)
        root = StorageFolder(self.place / folder, 0)
        draw_installation(root.root)
        sessions = Sessions(database, substitutes=SUBSTITUTES)
        resources = Resources(sessions=sessions, folder=root)
        self.opened.callback(resources.close)
        return resources


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    with host.opened:
        yield host


def lease_of(resources: Resources) -> Lease:
    with resources.sessions.reading() as session:
        lease = read_lease(session)
    assert lease is not None
    return lease


def test_a_process_that_died_here_is_followed_at_once(host: Host) -> None:
    """We hold the very lock that it held."""
    acquire(host.resources())
    again = acquire(host.resources(), silent_seconds=1000)
    assert again.number == 2


def test_a_process_that_let_go_is_followed_at_once_anywhere(host: Host) -> None:
    first = acquire(host.resources(), place="another host")
    first.stop()
    assert acquire(host.resources(), silent_seconds=1000).number == 2


def test_a_silent_process_elsewhere_is_followed_after_a_while(host: Host) -> None:
    first = acquire(host.resources(), place="another host")
    assert acquire(host.resources(), silent_seconds=SOON).number == 2
    with pytest.raises(LeaseLost):
        first.renew()


def test_a_start_beside_a_living_process_is_refused(host: Host) -> None:
    """A copy of the folder, or the same folder on another host: it has the same identity."""
    resources = host.resources()
    first = acquire(resources, place="another host")
    seen = threading.Event()
    beating = threading.Thread(target=beat, args=(first, seen))
    beating.start()
    try:
        with pytest.raises(NodeError) as refused:
            acquire(host.resources(), silent_seconds=60)
    finally:
        seen.set()
        beating.join()
    for part in (
        "another node works on this database since",
        lease_of(resources).held_by.installation,
        lease_of(resources).held_by.host,
        "stop it first",
    ):
        assert part in str(refused.value)
    assert lease_of(resources).number == first.number


def beat(lease: DatabaseLease, until: threading.Event) -> None:
    while not until.wait(0.05):
        lease.renew()


def test_a_wait_ends_when_the_process_is_to_end(host: Host) -> None:
    acquire(host.resources(), place="another host")
    ending = threading.Event()
    ending.set()
    with pytest.raises(NodeError, match="ended while it waited"):
        acquire(host.resources(), ending=ending)


def test_the_database_of_another_folder_is_refused_also_when_nobody_holds_it(host: Host) -> None:
    first = host.resources()
    acquire(first).stop()
    with pytest.raises(NodeError, match="belongs to another storage folder") as refused:
        acquire(host.resources("other"))
    assert str(first.folder.root) in str(refused.value)
    assert "--new-folder" in str(refused.value)

    adopted = host.resources("other")
    acquire(adopted, adopt=True)
    assert lease_of(adopted).held_by.folder == str(adopted.folder.root)


def test_a_moved_folder_is_the_same_installation(host: Host) -> None:
    resources = host.resources()
    acquire(resources).stop()
    resources.folder.root.rename(host.place / "moved")
    assert acquire(host.resources("moved")).number == 2


def test_one_who_was_replaced_says_so_and_takes_nothing_more(host: Host) -> None:
    resources = host.resources()
    index = IndexWriter(resources.sessions)
    ingest = InstanceIngest(resources, index)
    first = acquire(resources, place="another host")
    told = threading.Event()
    first.when_lost(told.set)
    acquire(host.resources(), silent_seconds=SOON)

    with pytest.raises(LeaseLost, match="another node has taken the database over"):
        first.renew()

    assert told.is_set()
    (fault,) = resources.health.snapshot()
    assert (fault.part, fault.receiving) == ("lease", False)
    instance = ReceivedInstance(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="2.25.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="CT1",
        body=[b"x"],
    )
    assert ingest.keep(instance) == OUT_OF_RESOURCES
    assert not kept_files(resources.folder)
    first.stop()  # lets go of nothing: it is another's
    assert lease_of(resources).is_held


HERE = Holder(installation="i", holder="a", place="p", folder="/d", host="h", pid=1)


def taken(number: int, beats: int = 0) -> Lease:
    return Lease(held_by=HERE, number=number, since=NOW, beats=beats, found="")


@pytest.mark.parametrize(
    ("database", "folder", "expected"),
    [
        (None, Age(), ""),  # the first start ever
        (taken(3, 7), Age(), ""),  # the first start of a version that writes the file
        (taken(3, 7), Age(number=3, beats=7), ""),
        (taken(3, 7), Age(number=3, beats=6), ""),  # ended between the two
        (taken(4), Age(number=3, beats=9), ""),  # ended between the two, at a start
        (None, Age(number=1), OLDER),  # deleted
        (taken(2, 9), Age(number=3), OLDER),
        (taken(3, 6), Age(number=3, beats=7), OLDER),
        (taken(5), Age(number=3), FOLDER_OLDER),
    ],
)
def test_which_is_older(database: Lease | None, folder: Age, expected: str) -> None:
    assert which_is_older(database, folder) == expected


def test_a_restored_database_is_told_until_somebody_takes_note(host: Host) -> None:
    resources = host.resources()
    first = acquire(resources)
    first.renew()
    first.stop()
    write_age(resources.folder.root, Age(number=1, beats=9))  # as it was after the copy was made
    orphan = resources.folder.locate(
        resources.folder.keep_result("k" * 64, {"0000-report.dcm": b"sent"})
    )
    assert told(resources) == [Kind.COPY_RESTORED]

    resources = host.resources()
    second = acquire(resources)
    assert second.number == 2
    assert [fault.part for fault in resources.health.snapshot()] == ["restored copy"]
    assert read_age(resources.folder.root) == Age(number=2)
    assert told(resources) == [Kind.COPY_RESTORED, Kind.RESULT_UNKNOWN]
    second.stop()

    resources = host.resources()
    acquire(resources)
    assert told(resources) == [Kind.COPY_RESTORED, Kind.RESULT_UNKNOWN]
    repair(resources)
    assert told(resources) == []
    assert not orphan.exists()


def told(resources: Resources) -> list[Kind]:
    return [finding.kind for finding in find(resources)]


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_a_database_that_lost_a_file_beside_it_is_not_written_to(
    tmp_path: Path, host: Host, end: str
) -> None:
    """Whoever opens it next does not see what is written from now on, and may write to it."""
    resources = host.resources()
    if not (tmp_path / "node.sqlite").exists():
        pytest.skip("a server has no file that could be removed")
    lease = acquire(resources)
    lease.renew()
    lease.renew()
    (tmp_path / f"node.sqlite{end}").unlink()

    lease.renew()  # SQLite itself might be removing it
    with pytest.raises(LeaseLost, match="was removed or replaced"):
        lease.renew()


@pytest.mark.parametrize("mounted_over", [False, True])
def test_a_database_whose_folder_is_away_for_a_while_is_waited_for(
    tmp_path: Path, host: Host, *, mounted_over: bool
) -> None:
    """Nothing is written beside it meanwhile, and no empty database made where it was."""
    resources = host.resources()
    if not (tmp_path / "node.sqlite").exists():
        pytest.skip("a server has no folder that could be moved")
    lease = acquire(resources)
    lease.renew()
    away = tmp_path.with_name("away")
    tmp_path.rename(away)
    if mounted_over:
        tmp_path.mkdir()

    for _ in range(3):
        with pytest.raises(DatabaseUnavailable, match="is away"):
            lease.renew()
    resources.sessions.close()  # so that the next ones must connect anew
    with pytest.raises(DatabaseUnavailable), resources.sessions.begin():
        pass
    assert not lease.lost
    assert not list(tmp_path.glob("*"))

    if mounted_over:
        tmp_path.rmdir()
    away.rename(tmp_path)
    lease.renew()
    assert not lease.lost


@pytest.mark.parametrize("replaced", [False, True])
def test_a_database_whose_file_is_gone_is_not_written_to(
    tmp_path: Path, host: Host, *, replaced: bool
) -> None:
    """SQLite would go on writing to a file that nobody can open any more."""
    file = tmp_path / "node.sqlite"
    resources = host.resources()
    if not file.exists():
        pytest.skip("a server has no file that could be removed")
    told: list[bool] = []
    lease = acquire(resources)
    lease.when_lost(lambda: told.append(True))
    lease.renew()
    content = file.read_bytes()
    file.unlink()
    if replaced:
        file.write_bytes(content)

    with pytest.raises(LeaseLost, match="was removed or replaced"):
        lease.renew()

    assert told == [True]
    assert [fault.receiving for fault in resources.health.snapshot()] == [False]
    with pytest.raises(LeaseLost), resources.sessions.begin():
        pass
