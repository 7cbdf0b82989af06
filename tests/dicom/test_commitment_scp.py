"""Storage commitment SCP: reports to senders, on the association of the request or on another."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event

from dicom_node.delivery.commitment.scu import action_information, read_report
from dicom_node.network.association import Peer
from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from dicom_node.network.sop_classes import STORAGE_COMMITMENT
from dicom_node.network.storage_commitment import WELL_KNOWN_INSTANCE
from dicom_node.reception.commitment_scp import CommitmentScp
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.reception.refusals import Refusal
from dicom_node.resources import Resources
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.delivery.commitments import Report
from storage.overview import overview
from storage.series.commitment_requests import (
    MAXIMUM_WAITING,
    CommitmentRequest,
    due_requests,
    keep_request,
)
from tests.support.node_process import free_port, wait_until
from tests.support.peers.pacs import DicomServer
from tests.support.reception import indexing, listening, open_resources

pytestmark = pytest.mark.database

TRANSACTION = "2.25.77"
MISSING = "2.25.404"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECONDS = 20  #: longest wait for a report


@dataclass
class Sender(DicomServer):
    """A scanner that also listens, and records the reports to it."""

    ae_title = "SCANNER"

    reports: list[tuple[int, Report]] = field(default_factory=list)
    reported: threading.Event = field(default_factory=threading.Event)

    def offer(self, ae: AE) -> list[evt.EventHandlerType]:
        ae.add_supported_context(STORAGE_COMMITMENT, scu_role=True, scp_role=True)
        return [(evt.EVT_N_EVENT_REPORT, self.record)]

    def record(self, event: Event) -> tuple[int, None]:
        self.reports.append((event.event_type, read_report(event.event_information)))
        self.reported.set()
        return 0x0000, None

    def report(self) -> tuple[int, Report]:
        assert self.reported.wait(SECONDS)
        (report,) = self.reports
        return report


@pytest.fixture
def sender() -> Iterator[Sender]:
    with Sender() as listening:
        yield listening


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return open_resources(tmp_path)


@pytest.fixture(params=["fast", "stock"])
def address(
    request: pytest.FixtureRequest, resources: Resources, sender: Sender
) -> Iterator[tuple[str, int]]:
    peers = {"SCANNER": Peer(ae_title="SCANNER", host="127.0.0.1", port=sender.port)}
    with indexing(resources) as index:
        ingest = InstanceIngest(resources, index)
        commitment_scp = CommitmentScp(
            index, resources, ingest.record_refusal, ae_title="AINODE", peers=peers
        )
        with listening(
            ingest,
            fast=request.param == "fast",
            services=[(evt.EVT_N_ACTION, commitment_scp.handle)],
        ) as address:
            yield address
        commitment_scp.stop()


@pytest.fixture(scope="module")
def ct() -> Dataset:
    return phantom_datasets(make_phantom(PhantomSpec(slices=1, size=64, lesions=0)), seed=3)[0]


def ask(
    address: tuple[str, int],
    ct: Dataset,
    request: Dataset,
    *,
    sender: Sender,
    stay: bool = False,
    action: int = 1,
) -> int:
    """Store a slice, ask at once; stay for the report, or leave."""
    ae = AE("SCANNER")
    ae.add_requested_context(ct.SOPClassUID, ct.file_meta.TransferSyntaxUID)
    ae.add_requested_context(STORAGE_COMMITMENT)
    answered = threading.Event()  # a report is recorded before the answer to it is sent
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_N_EVENT_REPORT, sender.record),
        (evt.EVT_PDU_SENT, lambda _: answered.set() if sender.reported.is_set() else None),
    ]
    assoc = ae.associate(*address, ae_title="AINODE", evt_handlers=handlers if stay else [])
    with reactor_paused(assoc):
        assert assoc.send_c_store(ct).Status == 0x0000
        status, _ = assoc.send_n_action(request, action, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
    if stay:
        answered.wait(SECONDS)
    assoc.release()
    return int(status.Status)


@pytest.mark.parametrize("stay", [True, False])
def test_a_sender_hears_that_its_slice_is_kept(
    address: tuple[str, int], ct: Dataset, sender: Sender, stay: bool
) -> None:
    """On the association of its request if it stays, else where it listens; never on both."""
    request = action_information(TRANSACTION, [(ct.SOPClassUID, ct.SOPInstanceUID)])
    here = Sender()

    assert ask(address, ct, request, sender=here, stay=stay) == 0x0000

    reported_to, other = (here, sender) if stay else (sender, here)
    committed = frozenset({ct.SOPInstanceUID})
    assert reported_to.report() == (1, Report(transaction_uid=TRANSACTION, committed=committed))
    assert other.reports == []


def test_a_sender_hears_what_is_not_kept(
    address: tuple[str, int], ct: Dataset, sender: Sender
) -> None:
    objects = [(ct.SOPClassUID, ct.SOPInstanceUID), (CTImageStorage, MISSING)]

    ask(address, ct, action_information(TRANSACTION, objects), sender=sender)

    kind, report = sender.report()
    assert (kind, set(report.committed)) == (2, {ct.SOPInstanceUID})
    assert report.failed == {MISSING: 0x0112}


def test_a_slice_of_another_class_is_a_conflict(
    address: tuple[str, int], ct: Dataset, sender: Sender
) -> None:
    objects = [("1.2.840.10008.5.1.4.1.1.4", ct.SOPInstanceUID)]

    ask(address, ct, action_information(TRANSACTION, objects), sender=sender)

    assert sender.report()[1].failed == {ct.SOPInstanceUID: 0x0119}


def test_a_row_whose_file_is_gone_is_not_kept(
    address: tuple[str, int], ct: Dataset, sender: Sender, resources: Resources
) -> None:
    request = action_information(TRANSACTION, [(ct.SOPClassUID, ct.SOPInstanceUID)])
    ask(address, ct, request, sender=sender)
    assert sender.report()[0] == 1
    for kept in resources.folder.paths("incoming/*/*.dcm"):
        resources.folder.locate(kept).unlink()
    again = Sender()
    ae = AE("SCANNER")
    ae.add_requested_context(STORAGE_COMMITMENT)
    handlers = [(evt.EVT_N_EVENT_REPORT, again.record)]
    assoc = ae.associate(*address, ae_title="AINODE", evt_handlers=handlers)
    with reactor_paused(assoc):
        assoc.send_n_action(request, 1, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)

    assert again.report()[1].failed == {ct.SOPInstanceUID: 0x0112}
    assoc.release()


def test_an_invalid_request_is_refused(
    address: tuple[str, int], ct: Dataset, sender: Sender
) -> None:
    request = action_information(TRANSACTION, [(ct.SOPClassUID, ct.SOPInstanceUID)])
    nothing = action_information(TRANSACTION, [])

    assert ask(address, ct, request, sender=sender, action=2) == 0x0123
    assert ask(address, ct, nothing, sender=sender) == 0x0115
    assert sender.reports == []


def test_a_sender_that_cannot_be_reached_is_refused_and_shown(
    address: tuple[str, int], ct: Dataset, resources: Resources
) -> None:
    """Success would be a promise that nobody may be able to keep."""
    ae = AE("STRANGER")
    ae.add_requested_context(STORAGE_COMMITMENT)
    assoc = ae.associate(*address, ae_title="AINODE")
    request = action_information(TRANSACTION, [(ct.SOPClassUID, ct.SOPInstanceUID)])
    with reactor_paused(assoc):
        status, _ = assoc.send_n_action(request, 1, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
    assoc.release()

    assert status.Status == 0x0124

    def is_shown() -> bool:
        with resources.sessions() as session:
            refusals = overview(session).refusals
        return [one.what for one in refusals] == ["storage commitment"]

    wait_until(is_shown, seconds=SECONDS, what="the refusal in the status")


@pytest.mark.parametrize("is_given_up", [False, True])
def test_a_report_is_tried_again_after_a_start_and_given_up_in_the_end(
    resources: Resources, sender: Sender, is_given_up: bool
) -> None:
    """What was answered Success is in the database: another process goes on with it."""
    request = CommitmentRequest(
        calling_ae="SCANNER", transaction_uid=TRANSACTION, objects={MISSING: CTImageStorage}
    )
    now, refused = [NOW], list[Refusal]()
    later = replace(resources, clock=lambda: now[0])
    away = Peer(ae_title="SCANNER", host="127.0.0.1", port=free_port())
    there = replace(away, port=sender.port)
    with resources.sessions.begin() as session:
        assert keep_request(session, request, NOW)

    with indexing(resources) as index:

        def scp(peer: Peer) -> CommitmentScp:
            peers = {"SCANNER": peer}
            return CommitmentScp(index, later, refused.append, ae_title="AINODE", peers=peers)

        scp(away).report_due()  # it is not due yet
        assert resources.health.snapshot() == ()
        now[0] += timedelta(days=4 if is_given_up else 0, minutes=2)
        scp(away).report_due()
        if is_given_up:
            (one,) = refused
            assert "given up" in one.reason
        else:
            (fault,) = resources.health.snapshot()
            assert fault.part == "storage commitment to SCANNER"
            now[0] += timedelta(minutes=2)
            scp(there).report_due()
            assert sender.report()[1].failed == {MISSING: 0x0112}
        scp(there).report_due()
    assert resources.health.snapshot() == ()
    assert len(sender.reports) == (not is_given_up)


def test_requests_that_wait_are_bounded(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        for number in range(MAXIMUM_WAITING + 1):
            request = CommitmentRequest(
                calling_ae="SCANNER", transaction_uid=f"1.{number}", objects={MISSING: "1"}
            )
            assert keep_request(session, request, NOW) == (number < MAXIMUM_WAITING)
        clock_back = NOW - timedelta(days=30)
        assert len(due_requests(session, clock_back)) == MAXIMUM_WAITING
