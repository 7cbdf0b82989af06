"""Storage commitment SCU over real associations: reports in time, late, invalid or never."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import build_role
from sqlalchemy import select

from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.commitment.request import record_report
from dicom_node.delivery.commitment.scu import (
    CommitmentScu,
    action_information,
    handle_report,
)
from dicom_node.delivery.dicom_sender import DicomSender
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.network.association import Peer
from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from dicom_node.network.sop_classes import STORAGE_COMMITMENT
from dicom_node.network.storage_commitment import WELL_KNOWN_INSTANCE, reference
from dicom_node.resources import Resources
from storage.database.schema import Commitment
from storage.overview import overview
from tests.support.peers.pacs import DicomServer
from tests.support.reception import running_receiver
from tests.support.results_due import Hands, store_with_results

pytestmark = pytest.mark.database

AGAIN = timedelta(hours=6)
UIDS = ["2.25.101", "2.25.102"]
BACKOFF = Backoff(first_seconds=5, factor=2, max_seconds=60, give_up_after=timedelta(hours=96))
NO_SUCH_OBJECT = 0x0112


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def resources(tmp_path: Path, clock: Hands) -> Resources:
    """One analysed series whose two results are due at the destination PACS."""
    return store_with_results(tmp_path, clock, UIDS)


def report_of(request: Dataset, missing: set[str]) -> tuple[int, Dataset]:
    """Make the report of a PACS that lacks some of the objects of a request."""
    requested = [str(item.ReferencedSOPInstanceUID) for item in request.ReferencedSOPSequence]
    ds = Dataset()
    ds.TransactionUID = request.TransactionUID
    ds.ReferencedSOPSequence = [
        reference(SecondaryCaptureImageStorage, uid) for uid in requested if uid not in missing
    ]
    failed = [reference(SecondaryCaptureImageStorage, uid) for uid in requested if uid in missing]
    for item in failed:
        item.FailureReason = NO_SUCH_OBJECT
    if failed:
        ds.FailedSOPSequence = failed
    return (2 if failed else 1), ds


JOIN_SECONDS = 30  #: longest wait for an answer of the PACS to be sent


class CommittingPacs(DicomServer):
    """A PACS that stores everything, and answers requests for storage commitment.

    Parameters
    ----------
    here
        Whether it reports on the association of the request.
    status
        Of its responses to the requests.
    missing
        SOP Instance UIDs that it reports as failed.
    offers
        Whether it accepts the Storage Commitment Push Model SOP Class.
    """

    def __init__(
        self,
        *,
        here: bool = False,
        status: int = 0,
        missing: set[str] | None = None,
        offers: bool = True,
    ) -> None:
        self.requests: list[Dataset] = []
        self.stored: list[str] = []
        self.missing = missing or set()
        self._here, self._status, self._offers = here, status, offers
        self._answers: list[threading.Thread] = []

    def offer(self, ae: AE) -> list[evt.EventHandlerType]:
        ae.add_supported_context(SecondaryCaptureImageStorage, ExplicitVRLittleEndian)
        if self._offers:
            ae.add_supported_context(STORAGE_COMMITMENT)
        return [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._asked)]

    def stop(self) -> None:
        for answer in self._answers:
            answer.join(JOIN_SECONDS)
        super().stop()

    def _store(self, event: Event) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def _asked(self, event: Event) -> tuple[int, None]:
        request = cast(Dataset, event.action_information)
        self.requests.append(request)
        if self._here:
            answer = threading.Thread(
                target=self._answer_here, args=(event.assoc, request), daemon=True
            )
            self._answers.append(answer)
            answer.start()
        return self._status, None

    def _answer_here(self, assoc: Association, request: Dataset) -> None:
        threading.Event().wait(0.2)  # after the response to the request
        kind, report = report_of(request, self.missing)
        with reactor_paused(assoc):
            assoc.send_n_event_report(report, kind, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)

    def report(self, address: tuple[str, int], number: int = -1, *, role: bool = True) -> int:
        """Answer a request on an association to the node."""
        kind, report = report_of(self.requests[number], self.missing)
        return send_report(address, kind, report, role=role)


def send_report(address: tuple[str, int], kind: int, report: Dataset, *, role: bool = True) -> int:
    ae = AE("PACS")
    ae.add_requested_context(STORAGE_COMMITMENT)
    roles = [build_role(STORAGE_COMMITMENT, scp_role=True)] if role else []
    assoc = ae.associate(*address, ae_title="AINODE", ext_neg=roles)
    assert assoc.is_established
    with reactor_paused(assoc):
        status, _ = assoc.send_n_event_report(report, kind, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
    assoc.release()
    return int(status.Status)


@pytest.fixture(params=["fast", "stock"])
def address(request: pytest.FixtureRequest, resources: Resources) -> Iterator[tuple[str, int]]:
    """Port of a node that receives the reports of destinations."""
    services = [
        (evt.EVT_N_EVENT_REPORT, handle_report, [partial(record_report, resources=resources)])
    ]
    with running_receiver(resources, fast=request.param == "fast", services=services) as reception:
        yield reception.address


def worker(
    resources: Resources, port: int, *, commitment: bool = True, linger_seconds: float = 0.1
) -> DeliveryWorker:
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=port, timeout_seconds=5)
    scu = CommitmentScu(
        "PACS",
        peer,
        calling_ae="AINODE",
        again=AGAIN,
        resources=resources,
        linger_seconds=linger_seconds,
    )
    return DeliveryWorker(
        "PACS",
        DicomSender(peer=peer, calling_ae="AINODE"),
        backoff=BACKOFF,
        resources=resources,
        requester=scu if commitment else None,
    )


def standing(resources: Resources) -> tuple[str, dict[str, int], str]:
    with resources.sessions() as session:
        (line,) = overview(session).series
    return line.state, {str(state): n for state, n in line.deliveries.items()}, line.reason


def test_an_answer_on_the_same_association_ends_the_series(resources: Resources) -> None:
    with CommittingPacs(here=True) as pacs:
        worker(resources, pacs.port, linger_seconds=20).run_once()

    assert standing(resources) == ("delivered", {"committed": 2}, "")
    (request,) = pacs.requests
    items = request.ReferencedSOPSequence
    assert {item.ReferencedSOPInstanceUID for item in items} == set(UIDS)
    assert {item.ReferencedSOPClassUID for item in items} == {SecondaryCaptureImageStorage}


@pytest.mark.parametrize("role", [True, False])
def test_an_answer_on_a_new_association_ends_the_series(
    resources: Resources, address: tuple[str, int], role: bool
) -> None:
    with CommittingPacs() as pacs:
        worker(resources, pacs.port).run_once()
        worker(resources, pacs.port).run_once()  # asks nothing while the answer may come
    assert standing(resources) == ("encoded", {"uncommitted": 2}, "")

    assert pacs.report(address, role=role) == 0x0000

    assert len(pacs.requests) == 1
    assert standing(resources) == ("delivered", {"committed": 2}, "")


def test_a_destination_that_never_answers_is_asked_again_and_then_given_up(
    resources: Resources, clock: Hands
) -> None:
    with CommittingPacs() as pacs:
        for _ in range(6):
            worker(resources, pacs.port).run_once()
            clock.now += AGAIN

    assert len(pacs.requests) == 4
    reason = "PACS accepted 2 objects: no answer to 4 requests for storage commitment"
    assert standing(resources) == ("delivered", {"accepted": 2}, reason)


def test_a_late_answer_to_an_earlier_request_counts(
    resources: Resources, clock: Hands, address: tuple[str, int]
) -> None:
    with CommittingPacs() as pacs:
        for _ in range(2):
            worker(resources, pacs.port).run_once()
            clock.now += AGAIN

    pacs.report(address, number=0)

    assert standing(resources) == ("delivered", {"committed": 2}, "")


@pytest.mark.parametrize(("offers", "status"), [(False, 0), (True, 0x0110)])
def test_a_destination_without_commitment_does_not_hold_the_series_for_ever(
    resources: Resources, clock: Hands, offers: bool, status: int
) -> None:
    with CommittingPacs(status=status, offers=offers) as pacs:
        for _ in range(4):
            worker(resources, pacs.port).run_once()
            with resources.sessions() as session:
                (remark,) = overview(session).series[0].remarks
            assert (remark.state, remark.count) == ("uncommitted", 2)
            assert "PACS" in remark.reason or "0x0110" in remark.reason
            clock.now += AGAIN
        worker(resources, pacs.port).run_once()

    assert standing(resources)[:2] == ("delivered", {"accepted": 2})
    with resources.sessions() as session:
        states = session.scalars(select(Commitment.state)).all()
    assert [str(state) for state in states] == ["rejected"] * 4


def test_what_the_destination_has_lost_is_sent_again(
    resources: Resources, address: tuple[str, int]
) -> None:
    with CommittingPacs(missing={UIDS[1]}) as pacs:
        worker(resources, pacs.port).run_once()
        pacs.report(address)
        assert standing(resources)[:2] == ("encoded", {"committed": 1, "pending": 1})
        worker(resources, pacs.port).run_once()
        pacs.missing = set()
        pacs.report(address)

    assert pacs.stored == [*UIDS, UIDS[1]]
    assert standing(resources) == ("delivered", {"committed": 2}, "")


def test_what_the_destination_loses_again_and_again_is_refused(
    resources: Resources, address: tuple[str, int]
) -> None:
    with CommittingPacs(missing={UIDS[0]}) as pacs:
        for _ in range(3):
            worker(resources, pacs.port).run_once()
            pacs.report(address)

    reason = "PACS refused 1 object: storage commitment failed with 0x0112, 3 times"
    assert standing(resources) == ("failed", {"committed": 1, "refused": 1}, reason)


def test_reports_that_nobody_asked_for_change_nothing(
    resources: Resources, address: tuple[str, int]
) -> None:
    with CommittingPacs() as pacs:
        worker(resources, pacs.port).run_once()
    stranger = report_of(
        action_information("2.25.7", [(SecondaryCaptureImageStorage, UIDS[0])]), set()
    )[1]

    assert send_report(address, 1, stranger) == 0x0000
    assert send_report(address, 1, reference(SecondaryCaptureImageStorage, UIDS[0])) == 0x0115

    assert standing(resources)[:2] == ("encoded", {"uncommitted": 2})


def test_a_repeated_report_changes_nothing(resources: Resources, address: tuple[str, int]) -> None:
    with CommittingPacs(missing={UIDS[0]}) as pacs:
        worker(resources, pacs.port).run_once()
        pacs.report(address)
        worker(resources, pacs.port).run_once()
        pacs.report(address, number=0)  # once more: the object is there again by now

    assert standing(resources)[1] == {"committed": 1, "uncommitted": 1}


def test_a_site_that_wants_no_commitment_any_more_is_content_with_acceptance(
    resources: Resources,
) -> None:
    with CommittingPacs() as pacs:
        worker(resources, pacs.port).run_once()
        worker(resources, pacs.port, commitment=False).run_once()

    assert standing(resources) == ("delivered", {"accepted": 2}, "")
