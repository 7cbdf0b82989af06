"""An object that a destination cannot stand, or does not answer, holds up no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.uid import EnhancedSRStorage, SecondaryCaptureImageStorage, SegmentationStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event
from sqlalchemy import select

from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.dicom_sender import DicomSender
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.sender import Sender
from dicom_node.delivery.store_scu import MOST_SILENT, send
from dicom_node.delivery.stow_sender import StowSender
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.network.association import Peer
from dicom_node.resources import Resources
from storage.database.schema import Delivery
from tests.support.peers.pacs import DicomServer
from tests.support.peers.part10 import part10_file
from tests.support.peers.stow_pacs import STORED, Answer, WebPacs
from tests.support.peers.wire_scp import Visit, WireScp, answer, response
from tests.support.results_due import UIDS, Hands, standing, store_with_results

BACKOFF = Backoff(first_seconds=60, factor=2, max_seconds=600, give_up_after=timedelta(hours=1))
SEG, SR, SC = SegmentationStorage, EnhancedSRStorage, SecondaryCaptureImageStorage


def files(folder: Path, *classes: str) -> list[OutgoingFile]:
    return [
        OutgoingFile.of(part10_file(folder / f"{number}.dcm", b"", number, sop_class))
        for number, sop_class in enumerate(classes)
    ]


def sent(scp: WireScp, outgoing: list[OutgoingFile]) -> list[tuple[str, Verdict]]:
    found = send(outgoing, scp.peer(), calling_ae="NODE")
    return [(file.path.stem, outcome.verdict) for file, outcome in found]


def hanging_up_at(*uids: str) -> Callable[[Visit], None]:
    """Have a peer hang up when one of these objects has come, and take all others."""

    def behave(visit: Visit) -> None:
        while visit.message():
            if visit.messages[-1][0].sop_instance_uid in uids:
                return
            visit.send(answer(response(), context=visit.context))
        visit.released()

    return behave


def messages(scp: WireScp) -> list[list[str]]:
    return [[command.sop_instance_uid for command, _ in visit.messages] for visit in scp.visits]


def test_the_others_go_on_after_the_first_had_no_answer(tmp_path: Path) -> None:
    with WireScp(hanging_up_at("2.25.0")) as scp:
        outcomes = sent(scp, files(tmp_path, SEG, SEG, SEG))

    assert outcomes == [
        ("0", Verdict.UNANSWERED),
        ("1", Verdict.ACCEPTED),
        ("2", Verdict.ACCEPTED),
    ]
    assert messages(scp) == [["2.25.0"], ["2.25.1", "2.25.2"]]


def test_what_had_no_answer_among_others_is_tried_alone_and_last(tmp_path: Path) -> None:
    """It may not be its fault: a peer may be restarted, or take so many objects at a time."""
    with WireScp(hanging_up_at("2.25.1")) as scp:
        outcomes = sent(scp, files(tmp_path, SEG, SEG, SEG))

    assert outcomes == [
        ("0", Verdict.ACCEPTED),
        ("2", Verdict.ACCEPTED),
        ("1", Verdict.UNANSWERED),
    ]
    assert messages(scp) == [["2.25.0", "2.25.1"], ["2.25.2"], ["2.25.1"]]


def test_other_classes_come_before_more_of_the_class_that_had_no_answer(tmp_path: Path) -> None:
    segs = [f"2.25.{number}" for number in range(5)]
    with WireScp(hanging_up_at(*segs)) as scp:
        outcomes = sent(scp, files(tmp_path, *[SEG] * 5, SR, SC))

    assert outcomes[:3] == [
        ("0", Verdict.UNANSWERED),
        ("5", Verdict.ACCEPTED),
        ("6", Verdict.ACCEPTED),
    ]


def test_a_destination_that_answers_nothing_is_left_alone(tmp_path: Path) -> None:
    with WireScp(lambda visit: visit.message() and None) as scp:
        outcomes = sent(scp, files(tmp_path, *[SEG] * 5))

    assert len(scp.visits) == MOST_SILENT
    assert [verdict for _, verdict in outcomes] == [Verdict.UNANSWERED] * 3 + [
        Verdict.POSTPONED
    ] * 2


def test_a_class_whose_proposal_is_aborted_holds_up_no_other(tmp_path: Path) -> None:
    with WireScp(aborts_at=(SEG,)) as scp:
        outcomes = sent(scp, files(tmp_path, SEG, SR, SEG, SC))

    assert dict(outcomes) == {
        "0": Verdict.UNANSWERED,
        "2": Verdict.UNANSWERED,
        "1": Verdict.ACCEPTED,
        "3": Verdict.ACCEPTED,
    }


class AbortingPacs(DicomServer):
    """A PACS that aborts when it gets one of some objects, and takes all others."""

    def __init__(self, *aborts_at: str) -> None:
        self.aborts_at = aborts_at
        self.got: list[str] = []

    def offer(self, ae: AE) -> list[evt.EventHandlerType]:
        ae.add_supported_context(SC)
        return [(evt.EVT_C_STORE, self._store)]

    def _store(self, event: Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        self.got.append(uid)
        if uid in self.aborts_at:
            event.assoc.abort()
        return 0x0000


def sender(port: int) -> Sender:
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=port, timeout_seconds=5)
    return DicomSender(peer=peer, calling_ae="NODE")


def run(resources: Resources, way: Sender) -> None:
    DeliveryWorker("PACS", way, backoff=BACKOFF, resources=resources).run_once()


def rows(resources: Resources) -> list[tuple[str, int, bool]]:
    with resources.sessions() as session:
        found = session.scalars(select(Delivery).order_by(Delivery.id))
        return [(str(row.state), row.attempts, row.unanswered) for row in found]


@pytest.mark.database
def test_only_its_own_tries_and_waits_count(tmp_path: Path) -> None:
    clock = Hands()
    resources = store_with_results(tmp_path, clock)
    with AbortingPacs(UIDS[0]) as pacs:
        run(resources, sender(pacs.port))
        assert rows(resources) == [("pending", 1, True), *[("accepted", 1, False)] * 2]
        assert pacs.got == list(UIDS)
        clock.now += timedelta(seconds=59)
        with resources.sessions.begin() as session:  # another object of the study is due
            other = session.scalars(select(Delivery).where(Delivery.sop_instance_uid == UIDS[1]))
            row = other.one()
            row.state, row.next_at = row.state.PENDING, clock.now
        clock.now -= timedelta(seconds=30)
        run(resources, sender(pacs.port))
        assert pacs.got == list(UIDS)  # neither is due yet
        clock.now += timedelta(seconds=30)
        run(resources, sender(pacs.port))
        assert pacs.got[3:] == [UIDS[1], UIDS[0]]  # the other first, then this one, alone
        pacs.aborts_at = ()
        clock.now += timedelta(seconds=120)
        run(resources, sender(pacs.port))

    assert standing(resources) == ("delivered", ["accepted"] * 3, "")


@pytest.mark.database
def test_a_destination_that_is_away_afterwards_does_not_clear_it(tmp_path: Path) -> None:
    clock = Hands()
    resources = store_with_results(tmp_path, clock)
    with AbortingPacs(UIDS[0]) as pacs:
        run(resources, sender(pacs.port))
    clock.now += timedelta(minutes=5)
    run(resources, sender(pacs.port))

    assert rows(resources)[0] == ("pending", 2, True)


def test_a_request_without_an_answer_holds_up_no_other(tmp_path: Path) -> None:
    def hang_up_at_first(_: int) -> Answer:
        if len(pacs.requests) == 1:
            raise ConnectionAbortedError
        return STORED

    resources = store_with_results(tmp_path, Hands())
    with WebPacs(answer=hang_up_at_first) as pacs:
        run(resources, StowSender(url=pacs.url, timeout_seconds=5))

    assert standing(resources)[:2] == ("encoded", ["pending", "accepted", "accepted"])
    assert rows(resources)[0][2]
