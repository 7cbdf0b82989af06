"""Delivery from the outbox to a real peer: the final state of every answer, and its display."""

from collections.abc import Callable, Generator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from sqlalchemy import select

from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.dicom_sender import DicomSender
from dicom_node.delivery.outcome import Outcome
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.worker import DeliveryWorker, Route
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.association import Peer
from dicom_node.resources import Resources
from pipeline.encode.bundle import part10
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.schema import Delivery
from storage.database.sessions import Sessions
from storage.delivery.outbox import keep_results
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation
from storage.overview import overview
from storage.results.kept_results import NewObject, NewResult
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, receiving
from tests.support.databases import migrated_database
from tests.support.peers.pacs import all_associations_end

pytestmark = pytest.mark.database

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
UIDS = ["2.25.101", "2.25.102", "2.25.103"]
BACKOFF = Backoff(first_seconds=5, factor=2, max_seconds=60, give_up_after=timedelta(hours=1))


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = START
        self.broken = False

    def __call__(self) -> datetime:
        if self.broken:
            raise RuntimeError
        return self.now


def capture(uid: str) -> bytes:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, uid
    return part10(ds)


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def resources(tmp_path: Path, clock: Hands) -> Resources:
    """One analysed series whose three results are due at the destination PACS."""
    database = migrated_database(tmp_path)
    resources = Resources(
        sessions=Sessions(database, substitutes=SUBSTITUTES),
        folder=StorageFolder(tmp_path, 0),
        clock=clock,
    )
    draw_installation(tmp_path)
    folder = resources.folder.keep_result("k1", {f"{uid}.dcm": capture(uid) for uid in UIDS})
    with resources.sessions.begin() as session:
        record_instance(session, CT, START)
        close(session, receiving(session)[0], START)
        ticket = claim_next(session, START)
        assert ticket is not None
        keep_results(
            session,
            ticket,
            NewResult(key="k1", model="m", score=0.5, positive=True, summary="{}", folder=folder),
            [new_object(uid, f"{folder}/{uid}.dcm") for uid in UIDS],
            destinations=["PACS"],
            now=START,
        )
    return resources


CT = InstanceFacts(
    sop_instance_uid="2.25.1",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    series_instance_uid="2.25.2",
    study_instance_uid="2.25.3",
    transfer_syntax_uid=str(ExplicitVRLittleEndian),
    modality="CT",
    calling_ae="SCANNER",
    path="incoming/00/x.dcm",
    digest="0" * 64,
    bytes=1,
)


def new_object(uid: str, path: str) -> NewObject:
    return NewObject(
        sop_instance_uid=uid,
        kind="heatmap",
        sop_class_uid=SecondaryCaptureImageStorage,
        series_instance_uid="2.25.9",
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        path=path,
    )


def sender(port: int) -> DicomSender:
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=port, timeout_seconds=5)
    return DicomSender(peer=peer, calling_ae="AINODE")


def worker(resources: Resources, port: int) -> DeliveryWorker:
    return DeliveryWorker("PACS", sender(port), backoff=BACKOFF, resources=resources)


def standing(resources: Resources) -> tuple[str, list[str]]:
    with resources.sessions() as session:
        (series,) = overview(session).series
        rows = session.scalars(select(Delivery).order_by(Delivery.id))
        return str(series.state), [str(row.state) for row in rows]


def test_everything_arrives_in_order(resources: Resources, tmp_path: Path) -> None:
    with StandInPacs(tmp_path / "pacs") as pacs:
        worker(resources, pacs.port).run_once()

        assert [uid for uid, _ in pacs.received] == UIDS
    assert standing(resources) == ("delivered", ["accepted"] * 3)


def test_a_destination_that_moves_gets_the_rest_at_its_new_place(
    resources: Resources, tmp_path: Path, clock: Hands
) -> None:
    def stop_at_once(number: int) -> int:
        running.stop()
        return 0x0000

    with (
        StandInPacs(tmp_path / "old", answer=stop_at_once) as old,
        StandInPacs(tmp_path / "new") as new,
    ):
        running = worker(resources, old.port)
        running.run_once()
        clock.now += timedelta(minutes=1)
        running.run_once()
        assert [uid for uid, _ in old.received] == UIDS[:1]  # stopped: nothing further
        running.take(Route(sender=sender(new.port), backoff=BACKOFF))
        running.run_once()
        assert [uid for uid, _ in new.received] == UIDS[1:]
    assert standing(resources) == ("delivered", ["accepted"] * 3)


def test_a_round_that_breaks_half_way_is_made_up_for(
    resources: Resources, tmp_path: Path, clock: Hands
) -> None:
    """As when the database cannot be written: what is under way is neither lost nor stuck."""

    def answer(number: int) -> int:
        clock.broken = number == 0
        return 0x0000

    with StandInPacs(tmp_path / "pacs", answer=answer) as pacs:
        here = worker(resources, pacs.port)
        with pytest.raises(RuntimeError):
            here.run_once()
        clock.broken = False
        assert standing(resources) == ("encoded", ["sending"] * 3)
        here.run_once()
        assert [uid for uid, _ in pacs.received] == [UIDS[0], *UIDS]
    assert standing(resources) == ("delivered", ["accepted"] * 3)


def test_a_destination_that_is_down_gets_everything_later(
    resources: Resources, tmp_path: Path, clock: Hands
) -> None:
    with StandInPacs(tmp_path / "pacs") as pacs:
        port = pacs.port
    worker(resources, port).run_once()
    assert standing(resources) == ("encoded", ["pending"] * 3)

    with StandInPacs(tmp_path / "pacs", port=port) as pacs:
        worker(resources, port).run_once()
        assert pacs.received == []  # not yet: it waits
        clock.now += timedelta(seconds=5)
        worker(resources, port).run_once()

    assert standing(resources) == ("delivered", ["accepted"] * 3)


@pytest.mark.parametrize(
    ("answer", "state", "deliveries"),
    [
        (lambda n: 0x0111, "delivered", ["accepted"] * 3),  # there already
        (lambda n: 0xB000, "delivered", ["accepted"] * 3),  # stored with a remark
        (lambda n: 0xA700 if n == 1 else 0, "encoded", ["accepted", "pending", "accepted"]),
        (lambda n: 0xC000 if n == 1 else 0, "failed", ["accepted", "refused", "accepted"]),
    ],
)
def test_each_object_is_settled_by_its_own_answer(
    resources: Resources,
    tmp_path: Path,
    answer: Callable[[int], int],
    state: str,
    deliveries: list[str],
) -> None:
    with StandInPacs(tmp_path / "pacs", answer=answer) as pacs:
        worker(resources, pacs.port).run_once()

    assert standing(resources) == (state, deliveries)


def test_a_warning_is_in_the_status(resources: Resources, tmp_path: Path) -> None:
    with StandInPacs(tmp_path / "pacs", answer=lambda n: 0xB000 if n == 1 else 0) as pacs:
        worker(resources, pacs.port).run_once()

    with resources.sessions() as session:
        (series,) = overview(session).series
    assert series.state == "delivered"
    assert "stored with a warning, 0xB000: it changed attributes" in series.reason


def test_a_refused_class_is_named(resources: Resources, tmp_path: Path) -> None:
    with StandInPacs(tmp_path / "pacs", accepts=("1.2.840.10008.5.1.4.1.1.88.34",)) as pacs:
        worker(resources, pacs.port).run_once()

    with resources.sessions() as session:
        (series,) = overview(session).series
    assert series.state == "failed"
    assert "PACS refused 3 objects" in series.reason


def test_a_destination_that_stays_away_is_given_up(
    resources: Resources, tmp_path: Path, clock: Hands
) -> None:
    with StandInPacs(tmp_path / "pacs") as pacs:
        port = pacs.port
    worker(resources, port).run_once()
    clock.now += timedelta(hours=2)
    worker(resources, port).run_once()
    assert standing(resources)[1] == ["pending"] * 3  # the clock may only have been set

    for _ in range(BACKOFF.least_attempts - 2):
        clock.now += timedelta(minutes=1)
        worker(resources, port).run_once()
    state, deliveries = standing(resources)

    assert (state, deliveries) == ("failed", ["refused"] * 3)
    with resources.sessions() as session:
        assert "given up" in overview(session).series[0].reason


def test_a_sender_that_breaks_in_an_unknown_way_settles_what_waits(
    resources: Resources, clock: Hands
) -> None:
    """Otherwise no attempt would have a reason, and nothing would ever be given up."""

    class Broken:
        def send(self, files: Iterable[OutgoingFile]) -> Generator[tuple[OutgoingFile, Outcome]]:
            yield from ()
            raise RecursionError("words of a library")

        def echo(self) -> Outcome:
            raise NotImplementedError

        def probe(self) -> None:
            return None

    DeliveryWorker("PACS", Broken(), backoff=BACKOFF, resources=resources).run_once()

    with resources.sessions() as session:
        rows = list(session.scalars(select(Delivery)))
    assert [(row.attempts, str(row.state)) for row in rows] == [(1, "pending")] * 3
    assert {row.reason for row in rows} == {"sending broke off (RecursionError), see the log"}
    assert all(row.next_at > clock() for row in rows)


def test_stopping_half_way_lets_the_peer_go_and_keeps_the_rest(
    resources: Resources, tmp_path: Path, clock: Hands
) -> None:
    def stop_at_once(number: int) -> int:
        running.stop()
        return 0x0000

    with StandInPacs(tmp_path / "pacs", answer=stop_at_once) as pacs:
        running = worker(resources, pacs.port)
        running.run_once()
        assert all_associations_end(pacs._ae)

    assert standing(resources) == ("encoded", ["accepted", "pending", "pending"])
    clock.now += timedelta(minutes=5)
    with StandInPacs(tmp_path / "pacs") as pacs:
        worker(resources, pacs.port).run_once()
    assert standing(resources) == ("delivered", ["accepted"] * 3)


def test_a_missing_result_file_is_refused_not_lost_sight_of(
    resources: Resources, tmp_path: Path
) -> None:
    resources.folder.locate(f"results/k1/{UIDS[1]}.dcm").unlink()
    with StandInPacs(tmp_path / "pacs") as pacs:
        worker(resources, pacs.port).run_once()

    assert standing(resources) == ("failed", ["accepted", "refused", "accepted"])


def test_nothing_is_refused_while_the_storage_folder_is_away(
    resources: Resources, tmp_path: Path, clock: Hands
) -> None:
    """It is away at the start of a round, or goes while files are sent."""
    station, results = resources.folder.locate("station"), resources.folder.locate("results")

    def unmount(number: int) -> int:
        station.rename(tmp_path / "elsewhere")
        results.rename(tmp_path / "results elsewhere")
        return 0x0000

    with StandInPacs(tmp_path / "pacs", answer=unmount) as pacs:
        worker(resources, pacs.port).run_once()
        assert standing(resources) == ("encoded", ["accepted", "pending", "pending"])
        clock.now += timedelta(minutes=5)
        worker(resources, pacs.port).run_once()
        assert standing(resources) == ("encoded", ["accepted", "pending", "pending"])

    (tmp_path / "elsewhere").rename(station)
    (tmp_path / "results elsewhere").rename(results)
    with StandInPacs(tmp_path / "pacs") as pacs:
        worker(resources, pacs.port).run_once()
    assert standing(resources) == ("delivered", ["accepted"] * 3)
