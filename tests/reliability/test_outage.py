"""A destination away for a day delays no other, and gets everything on its return."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from sqlalchemy import func, select

from config.settings import DeliverySettings
from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.dicom_sender import DicomSender
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.association import Peer
from dicom_node.resources import Resources
from pipeline.encode.bundle import part10
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.engine import migrate, open_database
from storage.database.schema import Delivery, ResultObject, Series
from storage.database.sessions import Sessions
from storage.delivery.outbox import keep_results
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation
from storage.results.kept_results import NewObject, NewResult
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, receiving
from storage.states import SeriesState
from tests.reliability.tally import Tally, times
from tests.support.node_process import free_port

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
OBJECTS, SERIES_OF_A_STUDY = 3, 2
DEFAULTS = DeliverySettings()
BACKOFF = Backoff(
    first_seconds=DEFAULTS.retry_first_seconds,
    factor=DEFAULTS.retry_factor,
    max_seconds=DEFAULTS.retry_max_seconds,
    give_up_after=timedelta(hours=DEFAULTS.give_up_after_hours),
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Site:
    """Results that come all day, and delivery workers that are called whenever something is due."""

    def __init__(self, folder: Path, destinations: dict[str, int]) -> None:
        self.clock = Hands()
        database = open_database(f"sqlite:///{folder / 'node.sqlite'}")
        migrate(database)
        self.resources = Resources(
            sessions=Sessions(database, substitutes=SUBSTITUTES),
            folder=StorageFolder(folder, 0),
            clock=self.clock,
        )
        draw_installation(folder)
        self.workers = {
            name: DeliveryWorker(
                name,
                DicomSender(
                    peer=Peer(ae_title="PACS", host="127.0.0.1", port=port, timeout_seconds=10),
                    calling_ae="AINODE",
                ),
                backoff=BACKOFF,
                resources=self.resources,
            )
            for name, port in destinations.items()
        }

    def analyse(self, number: int) -> None:
        """Keep the results of one more series."""
        now, key = self.clock.now, f"k{number}"
        uids = [f"2.25.{number}.{place}" for place in range(OBJECTS)]
        folder = self.resources.folder.keep_result(
            key, {f"{uid}.dcm": capture(uid) for uid in uids}
        )
        result = NewResult(key=key, model="m", score=0.5, positive=True, summary="", folder=folder)
        with self.resources.sessions.begin() as session:
            record_instance(session, ct(number), now)
            close(session, receiving(session)[0], now)
            ticket = claim_next(session, now)
            assert ticket is not None
            keep_results(
                session,
                ticket,
                result,
                [new_object(uid, f"{folder}/{uid}.dcm") for uid in uids],
                destinations=list(self.workers),
                now=now,
            )

    def until(self, end: datetime) -> None:
        """Have everything tried at its time, until then."""
        while (at := self.next_at()) is not None and at <= end:
            self.clock.now = max(self.clock.now, at)
            for worker in self.workers.values():
                worker.run_once()
        self.clock.now = end

    def next_at(self) -> datetime | None:
        with self.resources.sessions() as session:
            return session.scalar(
                select(func.min(Delivery.next_at)).where(Delivery.state == "pending")
            )

    def states(self) -> set[SeriesState]:
        with self.resources.sessions() as session:
            return set(session.scalars(select(Series.state)))

    def tries(self, destination: str) -> list[int]:
        with self.resources.sessions() as session:
            of_it = Delivery.destination == destination
            return list(session.scalars(select(Delivery.attempts).where(of_it)))

    def order(self) -> dict[str, list[str]]:
        """Study to the objects of its results, in the order they were made."""
        order: dict[str, list[str]] = defaultdict(list)
        with self.resources.sessions() as session:
            for uid in session.scalars(select(ResultObject.sop_instance_uid)):
                order[study_of(uid)].append(uid)
        return {
            study: sorted(uids, key=lambda uid: [int(part) for part in uid.split(".")])
            for study, uids in order.items()
        }


def ct(number: int) -> InstanceFacts:
    return InstanceFacts(
        sop_instance_uid=f"1.3.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=f"1.2.{number}",
        study_instance_uid=f"1.1.{number // SERIES_OF_A_STUDY}",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        modality="CT",
        calling_ae="CT1",
        path=f"incoming/{number}",
        digest="0" * 64,
        bytes=1,
    )


def study_of(uid: str) -> str:
    return str(int(uid.split(".")[2]) // SERIES_OF_A_STUDY)


def new_object(uid: str, path: str) -> NewObject:
    return NewObject(
        sop_instance_uid=uid,
        kind="heatmap",
        sop_class_uid=SecondaryCaptureImageStorage,
        series_instance_uid="2.25.9",
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        path=path,
    )


def capture(uid: str) -> bytes:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, uid
    return part10(ds)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[StandInPacs]:
    with StandInPacs(tmp_path / "other") as pacs:
        yield pacs


@pytest.mark.long
def test_after_a_day_without_the_destination_it_gets_everything(
    tmp_path: Path, other: StandInPacs, tally: Tally
) -> None:
    series, port = times(4, 96), free_port()
    (tmp_path / "node").mkdir()
    site = Site(tmp_path / "node", {"PACS": port, "OTHER": other.port})
    for number in range(series):
        site.analyse(number)
        site.until(START + DAY * (number + 1) / series)

    assert site.states() == {SeriesState.ENCODED}
    assert len(other.received) == series * OBJECTS  # nobody waits for somebody else
    tries = site.tries("PACS")
    limit = DAY / timedelta(seconds=BACKOFF.max_seconds * (1 - BACKOFF.spread)) + 20
    assert max(tries) <= limit

    with StandInPacs(tmp_path / "pacs", port=port) as pacs:
        site.until(site.clock.now + timedelta(seconds=BACKOFF.max_seconds))
        arrived = [uid for uid, _ in pacs.received]

    assert site.states() == {SeriesState.DELIVERED}
    assert sorted(arrived) == sorted(set(arrived))
    by_study: dict[str, list[str]] = defaultdict(list)
    for uid in arrived:
        by_study[study_of(uid)].append(uid)
    assert by_study == site.order()
    tally.note(
        "a destination away for a simulated day",
        f"{series} series while it is away, {sum(tries):,} tries in vain",
        f"{len(arrived):,} objects delivered once each within {BACKOFF.max_seconds / 60:.0f}"
        " minutes of its return, in order within each study; the other destination did not wait",
    )
