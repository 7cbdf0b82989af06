"""A paused destination gets nothing, and everything once it is resumed."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.outcome import Outcome, Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.resources import Resources
from storage.database.schema import Delivery
from storage.delivery.capabilities import Capability
from storage.delivery.pauses import pause, pauses, resume
from tests.support.reception import open_resources
from tests.support.results_due import Hands, standing, store_with_results

pytestmark = pytest.mark.database
BACKOFF = Backoff(first_seconds=60, factor=2, max_seconds=600, give_up_after=timedelta(hours=1))


class Recorder:
    """A sender that notes what it is told to send, and pauses its destination after one."""

    def __init__(self, resources: Resources, verdict: Verdict = Verdict.ACCEPTED) -> None:
        self._resources, self._verdict = resources, verdict
        self.sent = 0
        self.asked = 0
        self.pauses_after = 0

    def send(self, files: Iterable[OutgoingFile]) -> Generator[tuple[OutgoingFile, Outcome]]:
        for file in files:
            self.sent += 1
            if self.sent == self.pauses_after:
                set_paused(self._resources)
            yield file, Outcome(verdict=self._verdict, detail="away")

    def echo(self) -> Outcome:
        raise NotImplementedError

    def probe(self) -> tuple[Capability, ...] | None:
        self.asked += 1
        return None


def set_paused(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        assert pause(session, "PACS", by="an-admin", now=resources.clock())


def set_resumed(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        assert resume(session, "PACS", resources.clock())


def worker(resources: Resources, sender: Recorder) -> DeliveryWorker:
    return DeliveryWorker("PACS", sender, backoff=BACKOFF, resources=resources)


def states(resources: Resources) -> list[str]:
    with resources.sessions() as session:
        return [str(row.state) for row in session.scalars(select(Delivery).order_by(Delivery.id))]


def test_it_gets_nothing_over_a_restart_and_everything_after_it(tmp_path: Path) -> None:
    clock = Hands()
    resources = store_with_results(tmp_path, clock)
    set_paused(resources)
    resources.close()
    again = replace(open_resources(tmp_path), clock=clock)  # the node starts anew
    sender = Recorder(again)
    delivers = worker(again, sender)
    delivers.probe()
    delivers.run_once()
    assert (sender.sent, sender.asked, states(again)) == (0, 0, ["pending"] * 3)
    clock.now += timedelta(days=30)  # long after its deadline
    delivers.run_once()
    assert states(again) == ["pending"] * 3
    set_resumed(again)
    delivers.run_once()
    assert (sender.sent, sender.asked, states(again)) == (3, 1, ["accepted"] * 3)
    again.close()


def test_a_pause_ends_what_is_being_sent_and_nothing_fails(tmp_path: Path) -> None:
    resources = store_with_results(tmp_path, Hands())
    sender = Recorder(resources)
    sender.pauses_after = 1
    delivers = worker(resources, sender)
    delivers.run_once()
    assert (sender.sent, sorted(states(resources))) == (1, ["accepted", "pending", "pending"])
    set_resumed(resources)
    delivers.run_once()
    assert (sender.sent, states(resources)) == (3, ["accepted"] * 3)


def test_tries_of_before_the_pause_do_not_count(tmp_path: Path) -> None:
    clock = Hands()
    resources = store_with_results(tmp_path, clock)
    sender = Recorder(resources, Verdict.POSTPONED)
    delivers = worker(resources, sender)
    for _ in range(BACKOFF.least_attempts):
        delivers.run_once()
        clock.now += BACKOFF.longest
    set_paused(resources)
    clock.now += timedelta(days=1)
    set_resumed(resources)
    delivers.run_once()
    assert states(resources) == ["pending"] * 3
    assert standing(resources)  # its series goes on


def test_a_pause_says_by_whom(tmp_path: Path) -> None:
    resources = store_with_results(tmp_path, Hands())
    set_paused(resources)
    with resources.sessions.begin() as session:
        assert not pause(session, "PACS", by="another", now=resources.clock())
        assert not resume(session, "ARCHIVE", resources.clock())
        assert pauses(session)["PACS"].by == "an-admin"
