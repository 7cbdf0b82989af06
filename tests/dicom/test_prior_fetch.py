"""Prior studies are queried in archives, fetched, and waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from sqlalchemy import select

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.prior_fetch import ANALYSIS_DEADLINE, RETRY, PriorFetcher
from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.clock_watch import utc_now
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.network.association import Peer
from dicom_node.resources import Resources
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.schema import Search, Series
from storage.delivery.notices import Ending, end_series
from storage.delivery.outbox import keep_results
from storage.results.kept_results import NewResult
from storage.series.lifecycle import SeriesTicket, claim_next, close, receiving
from storage.states import SearchState, SeriesState
from tests.support.node_process import wait_until
from tests.support.peers.stand_in_archive import StandInArchive
from tests.support.reception import open_resources, running_receiver

pytestmark = pytest.mark.database

TODAY, LAST_MONTH, LAST_YEAR = "20261101", "20261001", "20251101"


@dataclass
class Hands:
    """A clock that is put forward by hand."""

    ahead: timedelta = field(default=timedelta(0))

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@dataclass
class Node:
    """Reception and rows; analyses are made up."""

    resources: Resources
    clock: Hands
    address: tuple[str, int]
    folder: Path

    def take(self, datasets: list[Dataset]) -> None:
        """Receive a series over an association."""
        here = self.folder / datasets[0].SeriesInstanceUID
        write_series(datasets, here)
        peer = Peer(ae_title="AINODE", host=self.address[0], port=self.address[1])
        list(send(map(OutgoingFile.of, sorted(here.glob("*.dcm"))), peer, calling_ae="CT1"))

    def close(self, datasets: list[Dataset]) -> SeriesTicket:
        """Wait until all of a series has its rows; close and claim it."""

        def complete() -> bool:
            with self.resources.sessions() as session:
                row = session.get(Series, datasets[0].SeriesInstanceUID)
                return row is not None and row.instances == len(datasets)

        wait_until(complete, seconds=20, what="the series")
        now = self.resources.clock()
        with self.resources.sessions.begin() as session:
            close(session, receiving(session)[0], now)
            ticket = claim_next(session, now)
        assert ticket is not None
        return ticket

    def analyse(self, datasets: list[Dataset]) -> None:
        ticket = self.close(datasets)
        uid = ticket.series_instance_uid
        result = NewResult(
            key=uid[-32:], model="m", score=0.5, positive=True, summary="{}", folder=uid
        )
        with self.resources.sessions.begin() as session:
            keep_results(session, ticket, result, [], destinations=[], now=self.resources.clock())

    def find_unsuitable(self, datasets: list[Dataset]) -> None:
        ticket = self.close(datasets)
        ending = Ending(state=SeriesState.UNSUITABLE, reason="motion", notice=None)
        with self.resources.sessions.begin() as session:
            end_series(session, ticket, ending, [], self.resources.clock())

    def searches(self) -> list[tuple[SearchState, str]]:
        with self.resources.sessions() as session:
            rows = session.scalars(select(Search)).all()
            return [(row.state, row.fetched_series_uid) for row in rows]

    def reason(self) -> str:
        with self.resources.sessions() as session:
            return session.scalars(select(Search.reason)).one()

    def prior_fetcher(self, *archives: Peer) -> PriorFetcher:
        settings = Settings()
        request_builder = RequestBuilder(self.resources, analysis_config_of(settings), compare=True)
        return PriorFetcher(
            self.resources, archives, request_builder, ae_title="AINODE", min_slices=3
        )


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    clock = Hands()
    resources = open_resources(tmp_path)
    with running_receiver(resources, require_called_ae=False) as reception:
        yield Node(replace(resources, clock=clock), clock, reception.address, tmp_path / "sent")


def study(date: str, *, seed: int, slices: int = 4, patient: str = "P1") -> list[Dataset]:
    datasets = phantom_datasets(make_phantom(PhantomSpec(slices=slices, size=32)), seed=seed)
    for ds in datasets:
        ds.PatientID, ds.StudyDate = patient, date
    return datasets


def test_the_latest_earlier_study_is_fetched_once_and_waited_for(node: Node) -> None:
    now, month, year = study(TODAY, seed=1), study(LAST_MONTH, seed=2), study(LAST_YEAR, seed=3)
    later = study("20261102", seed=4)
    node.take(now)
    node.analyse(now)
    with StandInArchive([*year, *month, *later, *now], node.address) as archive:
        prior_fetcher = node.prior_fetcher(archive.peer)
        prior_fetcher.run_once()
        assert node.searches() == [(SearchState.FETCHED, month[0].SeriesInstanceUID)]
        assert archive.asked == ["STUDY", "SERIES", "MOVE"]
        node.analyse(month)
        prior_fetcher.run_once()
        prior_fetcher.run_once()
    assert [state for state, _ in node.searches()] == [SearchState.ENDED]  # of the first alone
    assert archive.asked == ["STUDY", "SERIES", "MOVE"]
    assert node.reason().startswith("refused: ")  # this made-up analysis is not kept


def test_what_cannot_be_analysed_is_followed_by_the_next(node: Node) -> None:
    """Series most like the present one first; then the study before."""
    now, month, year = study(TODAY, seed=1), study(LAST_MONTH, seed=2), study(LAST_YEAR, seed=3)
    unlike = study(LAST_MONTH, seed=2, slices=40)
    scout = study(LAST_MONTH, seed=2, slices=2)
    node.take(now)
    node.analyse(now)
    with StandInArchive([*unlike, *scout, *month, *year], node.address) as archive:
        prior_fetcher = node.prior_fetcher(archive.peer)
        for fetched in (month, unlike, year):
            prior_fetcher.run_once()
            assert node.searches() == [(SearchState.FETCHED, fetched[0].SeriesInstanceUID)]
            node.find_unsuitable(fetched)
            prior_fetcher.run_once()
            node.clock.ahead += 4 * RETRY
    assert [state for state, _ in node.searches()] == [SearchState.ENDED]
    assert node.reason() == "what was fetched could not be analysed"


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (study(LAST_YEAR, seed=3, patient="P2"), "another patient"),
        (study("20261102", seed=3), "a later study"),
        (study("", seed=3), "no date"),
        (study(LAST_YEAR, seed=3, slices=2), "too small"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_earlier_chest_of_the_patient_stays_there(
    node: Node, held: list[Dataset], why: str
) -> None:
    del why
    now = study(TODAY, seed=1)
    node.take(now)
    node.analyse(now)
    with StandInArchive(held, node.address) as archive:
        node.prior_fetcher(archive.peer).run_once()
    assert node.searches() == [(SearchState.ENDED, "")]
    assert node.reason() == "no earlier study with CT was found"


def test_wildcards_and_birth_dates_are_held_here(node: Node) -> None:
    """An archive matches P* with P1; two patients with one ID are told apart by birth date."""
    now, other = study(TODAY, seed=1, patient="P*"), study(LAST_YEAR, seed=2, patient="P1")
    twin = study(LAST_YEAR, seed=3, patient="P*")
    for ds in twin:
        ds.PatientBirthDate = "19010101"
    for ds in now:
        ds.PatientBirthDate = "19600101"
    node.take(now)
    node.analyse(now)
    with StandInArchive([*other, *twin], node.address) as archive:
        node.prior_fetcher(archive.peer).run_once()
    assert node.searches() == [(SearchState.ENDED, "")]


@pytest.mark.parametrize("trouble", ["away", "failing", "does not know us"])
def test_an_archive_in_trouble_is_asked_again_and_then_no_more(node: Node, trouble: str) -> None:
    now = study(TODAY, seed=1)
    node.take(now)
    node.analyse(now)
    archive = StandInArchive(study(LAST_YEAR, seed=2), None, failing=trouble == "failing")
    with archive:
        peer = archive.peer
        if trouble == "away":
            peer = Peer(ae_title="ARCHIVE", host="127.0.0.1", port=1, timeout_seconds=2)
        prior_fetcher = node.prior_fetcher(peer)
        prior_fetcher.run_once()
        assert node.searches()[0][0] is SearchState.WANTED
        queries = len(archive.asked)
        prior_fetcher.run_once()
        assert len(archive.asked) == queries  # not before its time
        for _ in range(2):
            node.clock.ahead += 4 * RETRY
            prior_fetcher.run_once()
    assert node.searches()[0][0] is SearchState.ENDED
    assert node.reason()


def test_the_second_archive_is_asked_when_the_first_has_nothing(node: Node) -> None:
    now, month = study(TODAY, seed=1), study(LAST_MONTH, seed=2)
    node.take(now)
    node.analyse(now)
    with StandInArchive([]) as empty, StandInArchive(month, node.address) as archive:
        node.prior_fetcher(empty.peer, archive.peer).run_once()
    assert node.searches() == [(SearchState.FETCHED, month[0].SeriesInstanceUID)]


def test_what_never_comes_is_not_waited_for_without_end(node: Node) -> None:
    now, month = study(TODAY, seed=1), study(LAST_MONTH, seed=2)
    node.take(now)
    node.analyse(now)
    with StandInArchive(month, node.address) as archive:
        prior_fetcher = node.prior_fetcher(archive.peer)
        prior_fetcher.run_once()
        node.clock.ahead += ANALYSIS_DEADLINE + RETRY
        prior_fetcher.run_once()
    assert node.searches()[0][0] is SearchState.WANTED
