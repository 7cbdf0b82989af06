"""Receivers that share a database and a folder: who ends, who takes over, what is taken up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset, dcmwrite
from pydicom.filebase import DicomBytesIO
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicom_node.database_lease import DatabaseLease, acquire
from dicom_node.errors import NodeError
from dicom_node.fleet import election, roster
from dicom_node.fleet.election import Election
from dicom_node.fleet.membership import Membership, join
from dicom_node.fleet.roster import Roster
from dicom_node.fleet.silence import DOUBT_SECONDS, GAP_SECONDS, SILENT_SECONDS, Silence
from dicom_node.folder_lock import SharedFolder
from dicom_node.identity_key import keyed
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status_codes import CANNOT_UNDERSTAND, NO_SUCH_SOP_INSTANCE
from dicom_node.reception import commitment_scp, ingest
from dicom_node.reception.commitment_scp import CommitmentScp
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.lease import read_lease
from storage.database.receivers import receivers
from storage.database.sessions import Session, Sessions
from storage.errors import DatabaseUnavailable, LeaseLost
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation
from storage.files.receiver_folder import RECEIVERS, ReceiverFolder
from storage.overview import overview
from storage.series.commitment_requests import CommitmentRequest
from tests.support.databases import migrated_database

pytestmark = pytest.mark.database


class Clock:
    """A steady clock that a test sets forward."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Host:
    """One receiver of several, in this process."""

    def __init__(self, place: Path, name: str, opened: ExitStack, *, alone: bool = False) -> None:
        database = migrated_database(place)
        folder = StorageFolder(place / "data", 0)
        draw_installation(folder.root)
        resources = Resources(sessions=Sessions(database, substitutes=SUBSTITUTES), folder=folder)
        opened.callback(resources.close)
        self.name, self.clock = name, Clock()
        self.membership: Membership = join(resources, name, Shared(alone))
        self.resources = keyed(resources)
        self.index = IndexWriter(self.resources.sessions)
        self.index.when_entered = folder.entered
        self.ingest = InstanceIngest(self.resources, self.index)
        self.active = replace(self.resources, sessions=self.resources.sessions.beside())
        self.roster = Roster(
            self.active.sessions,
            folder.root,
            self.membership.holder,
            self.ingest.take_up,
            resources.health,
        )
        self.roster._left = Silence(self.clock)
        self.roster._silence = Silence(self.clock)
        self.leases: list[DatabaseLease] = []
        self.failures: list[str] = []
        self.opened = opened
        self.election = self.elector(self.leases.append)

    def elector(self, elected: Callable[[DatabaseLease], None]) -> Election:
        def act(lease: DatabaseLease) -> None:
            self.opened.callback(lease.stop)
            elected(lease)

        made = Election(
            self.active,
            self.roster,
            name=self.name,
            holder=self.membership.holder,
            elected=act,
            failed=self.failures.append,
        )
        made._silence = Silence(self.clock)
        return made

    def keep(self, body: bytes) -> str:
        """Keep a file as a receiver does that is killed before it writes the row."""
        return self.resources.folder.keep([body], name_from="1.2.3").path

    def look(self, seconds: float = 0.0) -> None:
        for gap in [GAP_SECONDS] * int(seconds / GAP_SECONDS) + [seconds % GAP_SECONDS]:
            self.clock.now += gap
            self.election.look()

    def instances(self) -> int:
        with self.resources.sessions.reading() as session:
            return sum(line.instances for line in overview(session).series)

    def names(self) -> list[str]:
        with self.resources.sessions.reading() as session:
            return [one.name for one in receivers(session)]


class Shared(SharedFolder):
    """A storage folder that is held without a lock."""

    def __init__(self, is_alone: bool) -> None:
        super().__init__(is_alone, -1, Path())


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def pair(tmp_path: Path, opened: ExitStack) -> tuple[Host, Host]:
    first = Host(tmp_path, "a", opened, alone=True)
    return first, Host(tmp_path, "b", opened)


@pytest.fixture(scope="module")
def instance() -> bytes:
    """A file of Part 10."""
    ds: Dataset = phantom_datasets(make_phantom(PhantomSpec(slices=4, size=32)), seed=1)[0]
    buffer = DicomBytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return bytes(buffer.getvalue())


def test_silence_is_what_does_not_change_while_we_look() -> None:
    clock = Clock()
    silence = Silence(clock)
    assert silence.look({"a": 1, "b": 1}) == {"a": 0, "b": 0}
    clock.now = 0.5
    assert silence.look({"a": 2, "b": 1}) == {"a": 0, "b": 0.5}
    clock.now = 9
    assert silence.look({"a": 2, "b": 1}) == {"a": GAP_SECONDS, "b": 0.5 + GAP_SECONDS}  # it hung
    silence.forget()  # we could not look
    assert silence.look({"a": 2, "b": 1}) == {"a": 0, "b": 0}


def test_the_first_becomes_active_and_the_other_stands_by_until_it_lets_go(
    pair: tuple[Host, Host],
) -> None:
    first, second = pair
    first.look()
    for _ in range(3):
        second.look(SILENT_SECONDS - 1)
        first.leases[0].renew()
    assert (len(first.leases), second.leases) == (1, [])

    first.leases[0].stop()
    second.look()
    assert len(second.leases) == 1


def test_a_silent_active_one_is_followed_and_does_no_harm_when_it_wakes(
    pair: tuple[Host, Host],
) -> None:
    first, second = pair
    first.look()
    second.look()
    second.look(SILENT_SECONDS)
    assert len(second.leases) == 1
    with pytest.raises(LeaseLost), first.active.sessions.begin():
        pass
    assert "another node has taken the database over: " in first.leases[0].lost


def test_a_look_that_hangs_makes_nobody_silent(pair: tuple[Host, Host]) -> None:
    first, second = pair
    first.look()
    second.look()
    second.clock.now += 10 * SILENT_SECONDS
    second.look()
    second.roster.settle()
    assert second.leases == []
    assert second.names() == ["a", "b"]


def test_one_that_has_shown_since_that_it_lives_is_not_ended(pair: tuple[Host, Host]) -> None:
    first, second = pair
    first.look()
    second.look()
    second.look(SILENT_SECONDS)
    first.membership.beat()
    second.roster.settle()
    assert second.names() == ["a", "b"]


def test_what_begins_a_takeover_waits_for_the_database(pair: tuple[Host, Host]) -> None:
    first, _ = pair
    tries: list[int] = []

    def act() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise DatabaseUnavailable("it is away for a moment")

    assert first.election.insist(act)
    assert len(tries) == 2
    first.election.stop()
    assert not first.election.insist(act)


def test_a_database_that_was_away_makes_nobody_silent(pair: tuple[Host, Host]) -> None:
    first, second = pair
    first.look()
    second.look()
    second.clock.now += SILENT_SECONDS
    second.election._silence.forget()
    second.roster.forget()
    second.look()
    assert second.leases == []


def test_a_node_that_shares_with_nobody_is_given_its_longer_time(
    tmp_path: Path, opened: ExitStack
) -> None:
    before = Host(tmp_path, "before", opened, alone=True)
    acquire(before.active, place="a node of its own")  # its beats come every five seconds
    host = Host(tmp_path, "a", opened, alone=True)
    host.look()
    host.look(SILENT_SECONDS)
    assert host.leases == []
    host.look(45)
    assert len(host.leases) == 1


def test_one_that_cannot_take_over_ends_and_says_why(pair: tuple[Host, Host]) -> None:
    first, _ = pair

    def fails(_: DatabaseLease) -> None:
        raise NodeError("no certificate")

    first.election = first.elector(fails)
    first.look()
    assert first.failures == ["it could not take over: no certificate"]


def test_one_that_ends_takes_nothing_over(pair: tuple[Host, Host]) -> None:
    first, second = pair
    first.election.stop()
    first.look()
    assert first.leases == []
    second.look()
    assert len(second.leases) == 1


def test_what_an_ended_receiver_kept_without_a_row_is_entered(
    pair: tuple[Host, Host], instance: bytes
) -> None:
    first, second = pair
    path = first.keep(instance)
    second.index.start()
    second.look()
    assert second.roster.settle()
    second.look(DOUBT_SECONDS)
    assert not second.roster.settle()  # it may have ended: nothing counts as complete
    second.look(SILENT_SECONDS - DOUBT_SECONDS)

    second.roster.settle()

    assert second.instances() == 1
    assert second.names() == ["b"]
    assert not (second.resources.folder.root / RECEIVERS / first.membership.holder).exists()
    second.look()
    assert second.roster.settle()
    assert second.resources.folder.locate(path).is_file()
    assert not second.resources.folder.noted()
    second.index.stop()


def test_what_is_taken_up_is_noted_until_it_is_entered(
    pair: tuple[Host, Host], instance: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    first.keep(instance)
    second.look()
    second.look(SILENT_SECONDS)

    def ends() -> None:
        raise InterruptedError("it ends while the row waits")

    monkeypatch.setattr(second.index, "wait_for_those_before", ends)
    with pytest.raises(InterruptedError):
        second.roster.settle()
    assert ReceiverFolder(second.resources.folder.root, second.membership.holder).noted()


def test_a_note_that_stays_does_not_keep_commitment_from_its_report(
    pair: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    first.keep(b"its row never comes")
    monkeypatch.setattr(commitment_scp, "INDEX_SECONDS", 2.0)
    scp = CommitmentScp(
        second.index, second.resources, second.ingest.record_refusal, ae_title="A", peers={}
    )
    second.index.start()
    request = CommitmentRequest(
        calling_ae="CT1", transaction_uid="1.2", objects={"1.2.404": CTImageStorage}
    )
    assert scp._failures(request, 0.0) == {"1.2.404": NO_SUCH_SOP_INSTANCE}
    second.index.stop()


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom warns of what is odd here
def test_a_file_that_is_removed_or_gets_no_name_is_not_noted(
    pair: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = pair
    monkeypatch.setattr(ingest, "MAXIMUM_QUARANTINED", 0)
    rubbish = ReceivedInstance(
        sop_class_uid=CTImageStorage,
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        calling_ae="CT1",
        body=[b"no data set"],
    )
    assert first.ingest.keep(rubbish) == CANNOT_UNDERSTAND
    assert first.resources.folder.noted() == set()

    def lose(step: str) -> None:
        if step == "synced":
            for path in first.resources.folder._temporary_folder.iterdir():
                path.unlink()

    first.resources.folder._step = lose
    with pytest.raises(FileNotFoundError):
        first.keep(b"1")
    assert first.resources.folder.noted() == set()


def test_what_is_taken_up_is_waited_for_though_more_comes_all_the_time(
    pair: tuple[Host, Host], instance: bytes
) -> None:
    first, second = pair
    path = first.keep(instance)

    def more(_: Session) -> None:
        second.index.put(more)

    second.index.put(more)
    second.index.start()
    assert second.ingest.take_up([path]) == 1
    assert second.instances() == 1
    second.index.stop()


def test_one_that_was_taken_for_ended_puts_nothing_in_place_and_writes_nothing(
    pair: tuple[Host, Host], instance: bytes
) -> None:
    first, second = pair
    second.look()
    second.look(SILENT_SECONDS)
    second.roster.settle()

    with pytest.raises(OSError, match="No such file"):
        first.keep(instance)
    with pytest.raises(LeaseLost):
        first.membership.beat()
    assert "took this one for ended" in first.membership.lost
    assert first.index.refusal() == first.membership.lost


def test_a_file_that_is_still_being_written_gets_no_name_once_its_receiver_has_ended(
    pair: tuple[Host, Host], instance: bytes
) -> None:
    first, second = pair
    steps: list[str] = []

    def end_it(step: str) -> None:
        steps.append(step)
        if step == "synced":
            second.look()
            second.look(SILENT_SECONDS)
            second.roster.settle()

    first.resources.folder._step = end_it
    with pytest.raises(OSError, match="No such file"):
        first.keep(instance)
    assert "renamed" not in steps
    assert second.resources.folder.noted() == set()


def test_a_note_stays_as_long_as_its_file_may_come(pair: tuple[Host, Host]) -> None:
    first, _ = pair
    folder = ReceiverFolder(first.resources.folder.root, first.membership.holder)
    folder.note("incoming/00/x-y.dcm")
    assert folder.paths_of(folder.noted()) == {}
    assert not folder.remove()
    assert folder.end_writing()
    folder.drop(folder.noted())
    assert folder.remove()


def test_one_that_begins_is_not_taken_for_ended(
    tmp_path: Path, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Host(tmp_path, "a", opened, alone=True)
    first.look()
    begun: list[Host] = []
    listed = roster.holders_with_folders

    def begin_then_list(root: Path) -> list[str]:
        if not begun:
            begun.append(Host(tmp_path, "b", opened))
        return listed(root)

    monkeypatch.setattr(roster, "holders_with_folders", begin_then_list)
    first.roster.settle()
    assert begun[0].membership.lost == ""
    begun[0].membership.beat()
    assert begun[0].resources.folder.noted() == set()


def test_the_next_of_its_name_takes_the_place_of_one_that_was_killed(
    pair: tuple[Host, Host], tmp_path: Path, opened: ExitStack
) -> None:
    first, second = pair
    again = Host(tmp_path, "a", opened)
    assert second.names() == ["a", "b"]
    with pytest.raises(LeaseLost):
        first.membership.beat()
    again.membership.beat()


def test_one_that_starts_alone_ends_all_others(
    pair: tuple[Host, Host], tmp_path: Path, opened: ExitStack
) -> None:
    _, second = pair
    third = Host(tmp_path, "c", opened, alone=True)
    assert third.names() == ["c"]
    with pytest.raises(LeaseLost):
        second.membership.beat()


def test_one_that_is_killed_while_it_starts_alone_leaves_the_notes(
    pair: tuple[Host, Host], tmp_path: Path, opened: ExitStack, instance: bytes
) -> None:
    first, _ = pair
    first.keep(instance)
    Host(tmp_path, "c", opened, alone=True)  # and killed before it looked at all files
    last = Host(tmp_path, "d", opened)
    last.index.start()
    last.look()
    last.roster.settle()
    assert last.instances() == 1
    last.index.stop()


def test_a_node_of_its_own_ends_all_receivers(pair: tuple[Host, Host]) -> None:
    first, second = pair
    acquire(second.resources)
    with pytest.raises(LeaseLost):
        first.membership.beat()


def test_another_folder_is_refused(pair: tuple[Host, Host], tmp_path: Path) -> None:
    first, _ = pair
    first.look()
    other = StorageFolder(tmp_path / "other", 0)
    draw_installation(other.root)
    stranger = replace(first.resources, folder=other, sessions=first.resources.sessions.beside())
    with pytest.raises(NodeError, match="belongs to another storage folder"):
        join(stranger, "c", Shared(False))
    with pytest.raises(NodeError, match="no other receiver to run with --new-folder"):
        join(stranger, "c", Shared(False), adopt=True)
    first.leases[0].start()
    with pytest.raises(NodeError, match="another node works on this database"):
        join(stranger, "c", Shared(True), adopt=True)
    assert first.names() == ["a", "b"]


def test_nobody_takes_over_whose_folder_is_away(pair: tuple[Host, Host]) -> None:
    first, _ = pair
    root = first.resources.folder.root
    away = root.rename(root.with_name("away"))
    first.look()
    assert first.leases == []
    away.rename(root)
    first.look()
    assert len(first.leases) == 1


def test_one_whose_folder_is_not_listed_yet_is_ended_all_the_same(
    pair: tuple[Host, Host], instance: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    first.keep(instance)
    second.look()
    second.look(SILENT_SECONDS)
    monkeypatch.setattr(roster, "holders_with_folders", lambda _: [])  # as a network folder may
    second.index.start()
    second.roster.settle()
    assert second.instances() == 1
    second.index.stop()


def test_what_holds_closing_up_for_long_is_told(pair: tuple[Host, Host]) -> None:
    first, second = pair
    folder = ReceiverFolder(first.resources.folder.root, first.membership.holder)
    second.look()
    second.look(SILENT_SECONDS)
    (folder.temporary.parent / "somebody's.txt").touch()
    for _ in range(int(roster.LEFT_SECONDS / GAP_SECONDS) + 2):
        second.look(GAP_SECONDS)
        assert not second.roster.settle()
    (fault,) = second.resources.health.snapshot()
    assert first.membership.holder in fault.reason
    (folder.temporary.parent / "somebody's.txt").unlink()
    assert second.roster.settle()
    assert second.resources.health.snapshot() == ()


@pytest.mark.parametrize("trouble", ["killed", "again", "none"])
def test_what_another_one_has_kept_again_is_not_removed(
    pair: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    first, second = pair
    path = first.keep(b"1")
    before = datetime.now(UTC) + timedelta(hours=1)
    kept = second.resources.folder.locate(path)
    take_away = ReceiverFolder.take_away

    def kept_again(folder: ReceiverFolder, path: str) -> Path:
        if trouble == "again":
            os.utime(kept, times=(before.timestamp(), before.timestamp()))
        taken = take_away(folder, path)
        if trouble == "killed":
            raise KeyboardInterrupt
        return taken

    monkeypatch.setattr(ReceiverFolder, "take_away", kept_again)
    with suppress(KeyboardInterrupt):
        first.resources.folder.discard([path], before=before)
    assert kept.exists() == (trouble == "again")
    ReceiverFolder(second.resources.folder.root, first.membership.holder).end_writing()
    assert kept.exists() == (trouble != "none")


def test_what_others_are_being_sent_is_known(pair: tuple[Host, Host]) -> None:
    first, second = pair
    first.membership.sending = lambda: ["1.2.3"]
    first.membership.beat()
    second.look()
    assert second.roster.sending == {"1.2.3"}


def test_who_is_active_stands_in_the_lease(pair: tuple[Host, Host]) -> None:
    first, _ = pair
    first.look()
    with first.resources.sessions.reading() as session:
        lease = read_lease(session)
    assert lease is not None
    assert lease.held_by.place == f"{election.PLACE}a"
    assert lease.held_by.holder == first.membership.holder
