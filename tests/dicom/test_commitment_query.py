"""Verification by query over real associations: objects stored, objects lost, no answer."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.commitment.query import INDEXING, StoredCheck
from dicom_node.delivery.dicom_sender import DicomSender
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.association import Peer
from dicom_node.resources import Resources
from tests.support.peers.stand_in_archive import StandInArchive
from tests.support.results_due import UIDS, Hands, capture, standing, store_with_results

pytestmark = pytest.mark.database

AGAIN = timedelta(hours=6)
BACKOFF = Backoff(first_seconds=5, factor=2, max_seconds=60, give_up_after=timedelta(hours=96))


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def resources(tmp_path: Path, clock: Hands) -> Resources:
    return store_with_results(tmp_path, clock)


def worker(resources: Resources, pacs: StandInPacs, archive: Peer) -> DeliveryWorker:
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=pacs.port, timeout_seconds=5)
    verifier = StoredCheck("PACS", archive, calling_ae="AINODE", again=AGAIN, resources=resources)
    return DeliveryWorker(
        "PACS",
        DicomSender(peer=peer, calling_ae="AINODE"),
        backoff=BACKOFF,
        resources=resources,
        requester=verifier,
    )


def deliver_and_ask(
    resources: Resources, clock: Hands, archive: StandInArchive, *, times: int = 1
) -> int:
    """Have the archive queried; return how many objects it was sent."""
    with StandInPacs(resources.folder.root / "pacs") as pacs:
        for _ in range(times):
            worker(resources, pacs, archive.peer).run_once()
            clock.now += INDEXING
            worker(resources, pacs, archive.peer).run_once()
        return len(pacs.received)


def test_what_is_there_ends_the_series(resources: Resources, clock: Hands) -> None:
    with StandInArchive([capture(uid) for uid in UIDS]) as archive:
        deliver_and_ask(resources, clock, archive)

    assert standing(resources) == ("delivered", ["committed"] * 3, "")
    assert archive.asked == ["IMAGE"]  # one query for the series


def test_the_archive_gets_time_to_put_it_into_its_index(resources: Resources, clock: Hands) -> None:
    with StandInArchive([]) as archive, StandInPacs(resources.folder.root / "pacs") as pacs:
        worker(resources, pacs, archive.peer).run_once()
        clock.now += INDEXING - timedelta(seconds=1)
        worker(resources, pacs, archive.peer).run_once()

    assert archive.asked == []
    assert standing(resources)[:2] == ("encoded", ["uncommitted"] * 3)


def test_what_is_missing_is_sent_again(resources: Resources, clock: Hands) -> None:
    with StandInArchive([capture(uid) for uid in UIDS[1:]]) as archive:
        assert deliver_and_ask(resources, clock, archive) == 3
        assert standing(resources)[:2] == ("encoded", ["pending", "committed", "committed"])

        archive.held.append(capture(UIDS[0]))
        assert deliver_and_ask(resources, clock, archive) == 1

    assert standing(resources) == ("delivered", ["committed"] * 3, "")


def test_what_is_missing_again_and_again_is_refused(resources: Resources, clock: Hands) -> None:
    with StandInArchive([capture(uid) for uid in UIDS[1:]]) as archive:
        deliver_and_ask(resources, clock, archive, times=3)

    reason = "PACS refused 1 object: verification by query failed with 0x0112, 3 times"
    assert standing(resources) == ("failed", ["refused", "committed", "committed"], reason)


def test_an_archive_that_does_not_answer_queries_holds_nothing_for_ever(
    resources: Resources, clock: Hands
) -> None:
    with StandInArchive([], failing=True) as archive:
        deliver_and_ask(resources, clock, archive)
        assert standing(resources)[:2] == ("encoded", ["uncommitted"] * 3)
        for _ in range(4):
            clock.now += AGAIN
            deliver_and_ask(resources, clock, archive)

    reason = "PACS accepted 3 objects: no answer to 4 requests for verification by query"
    assert standing(resources) == ("delivered", ["accepted"] * 3, reason)
    assert archive.asked == ["IMAGE"] * 4


@pytest.mark.parametrize(
    ("failing", "asked", "states"),
    [
        (("2.25.9.1",), 4, ["uncommitted", "committed", "committed", "committed"]),
        (
            ("2.25.9.1", "2.25.9.2", "2.25.9.4"),
            4,
            [*["uncommitted"] * 2, "committed", "uncommitted"],
        ),
        (("2.25.9.1", "2.25.9.2", "2.25.9.3"), 3, ["uncommitted"] * 4),  # the archive is at fault
    ],
)
def test_a_series_that_cannot_be_queried_holds_up_no_other(
    tmp_path: Path, clock: Hands, failing: tuple[str, ...], asked: int, states: list[str]
) -> None:
    """Unless three in a row cannot."""
    uids, series = [f"2.25.10{n}" for n in range(4)], [f"2.25.9.{n + 1}" for n in range(4)]
    resources = store_with_results(tmp_path, clock, uids, series=series)
    held = [capture(uid, of) for uid, of in zip(uids, series, strict=True)]

    with StandInArchive(held, failing_for=failing) as archive:
        deliver_and_ask(resources, clock, archive)

    assert standing(resources)[1] == states
    assert len(archive.asked) == asked


def test_a_request_of_a_time_that_a_clock_was_ahead_is_made_again(
    resources: Resources, clock: Hands
) -> None:
    """It would wait until that time comes."""
    with StandInArchive([capture(uid) for uid in UIDS], failing=True) as archive:
        deliver_and_ask(resources, clock, archive)
        clock.now += timedelta(days=30)
        deliver_and_ask(resources, clock, archive)
        archive.failing = False
        clock.now -= timedelta(days=30)
        deliver_and_ask(resources, clock, archive)

    assert standing(resources)[:2] == ("delivered", ["committed"] * 3)
