"""Objects are tried again where a destination says the same of all: it is at fault."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from config.settings import Settings
from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.dicom_sender import DicomSender
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.sender import Sender
from dicom_node.delivery.stow_sender import StowSender
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.association import Peer
from dicom_node.preflight.doubts import doubts
from dicom_node.resources import Resources
from storage.database.schema import Delivery
from tests.support.peers.stow_pacs import STORED, Answer, WebPacs, failed
from tests.support.results_due import Hands, standing, store_with_results

BACKOFF = Backoff(first_seconds=60, factor=2, max_seconds=600, give_up_after=timedelta(hours=1))
CT = "1.2.840.10008.5.1.4.1.1.2"
NAMES = ["no-such-host.invalid", "a" * 70 + ".invalid", "a..b", "ä" * 70, "-", "xn--a"]


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def resources(tmp_path: Path, clock: Hands) -> Resources:
    return store_with_results(tmp_path, clock)


def run(resources: Resources, way: Sender) -> None:
    DeliveryWorker("PACS", way, backoff=BACKOFF, resources=resources).run_once()


def by_dicom(port: int, host: str = "127.0.0.1") -> DicomSender:
    peer = Peer(ae_title="PACS", host=host, port=port, timeout_seconds=5)
    return DicomSender(peer=peer, calling_ae="NODE")


def reasons(resources: Resources) -> set[str]:
    with resources.sessions() as session:
        return set(session.scalars(select(Delivery.reason)))


ANSWERS = [(status, b"") for status in (302, 400, 401, 403, 404, 405, 413, 415, 500)]


@pytest.mark.parametrize("answer", [*ANSWERS, (200, b"<html>"), failed(0x0122)], ids=str)
def test_a_service_that_says_the_same_of_all_gets_everything_later(
    resources: Resources, clock: Hands, answer: Answer
) -> None:
    with WebPacs(answer=lambda _: answer) as pacs:
        run(resources, StowSender(url=pacs.url))
        assert standing(resources)[:2] == ("encoded", ["pending"] * 3)
        pacs.answer = lambda _: STORED
        clock.now += timedelta(minutes=1)
        run(resources, StowSender(url=pacs.url))

    assert standing(resources)[:2] == ("delivered", ["accepted"] * 3)


@pytest.mark.parametrize("answer", [(400, b""), (413, b""), (415, b""), failed(0x0122)], ids=str)
def test_what_it_says_of_the_last_object_of_a_result_is_about_that(
    resources: Resources, clock: Hands, answer: Answer
) -> None:
    with WebPacs(answer=lambda number: (503, b"") if number == 0 else STORED) as pacs:
        run(resources, StowSender(url=pacs.url))
        pacs.answer = lambda _: answer
        clock.now += timedelta(minutes=1)
        run(resources, StowSender(url=pacs.url))

    assert standing(resources)[:2] == ("failed", ["refused", "accepted", "accepted"])


@pytest.mark.database
def test_a_pacs_that_takes_none_of_our_classes_is_tried_again(
    resources: Resources, clock: Hands, tmp_path: Path
) -> None:
    with StandInPacs(tmp_path / "pacs", accepts=(CT,)) as pacs:
        run(resources, by_dicom(pacs.port))
    assert standing(resources)[:2] == ("encoded", ["pending"] * 3)
    assert all("does not accept" in reason for reason in reasons(resources))

    clock.now += timedelta(minutes=1)
    with StandInPacs(tmp_path / "pacs") as pacs:
        run(resources, by_dicom(pacs.port))
    assert standing(resources)[:2] == ("delivered", ["accepted"] * 3)


def test_a_pacs_that_answers_not_supported_to_all_is_tried_again(
    resources: Resources, tmp_path: Path
) -> None:
    with StandInPacs(tmp_path / "pacs", answer=lambda _: 0x0122) as pacs:
        run(resources, by_dicom(pacs.port))
    assert standing(resources)[:2] == ("encoded", ["pending"] * 3)


@pytest.mark.parametrize("host", NAMES)
def test_a_name_that_is_not_known_is_no_fault_of_ours(host: str) -> None:
    web = StowSender(url=f"http://{host}:8042/web", timeout_seconds=5)
    for outcome in (web.echo(), by_dicom(104, host).echo()):
        assert outcome.verdict is Verdict.POSTPONED
        assert "cannot be reached" in outcome.detail or "expected the URL" in outcome.detail
        assert "Errno" not in outcome.detail


@pytest.mark.parametrize(("port", "title"), [(0, "PACS"), (70_000, "PACS"), (104, "T" * 17)])
def test_an_address_that_is_none_is_told(port: int, title: str) -> None:
    peer = Peer(ae_title=title, host="127.0.0.1", port=port, timeout_seconds=5)
    outcome = DicomSender(peer=peer, calling_ae="NODE").echo()
    assert outcome.verdict is Verdict.POSTPONED
    assert outcome.detail


def test_names_that_are_none_do_not_end_the_check() -> None:
    destination = {"name": "PACS", "ae_title": "PACS", "host": "a..b", "port": 104}
    settings = Settings.model_validate({"destinations": [destination]})
    assert not any("this node" in doubt for doubt in doubts(settings))
