"""Series of the self-test are in no list and no count, and go without a trace."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.console.node_pages import queue, sender_lines
from storage.console.worklist import Filter, tiles, worklist
from storage.database.engine import open_database
from storage.database.schema import Base, Result, Series
from storage.database.watch_tables import SelfTestSeries
from storage.maintenance.purge import erase_rows, mark_for_erasure, series_usages
from storage.overview import overview
from storage.results.self_tests import (
    SelfTestOutcome,
    begin_self_test,
    end_self_test,
    first_passed,
    keep_self_test_result,
    latest_passed,
    latest_self_tests,
    request_self_test,
    self_test,
)
from storage.series.closings import record_closing, waits
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import SeriesTicket, claim_next, close, receiving
from storage.series.rerun import ended_series
from storage.series.study import series_uids
from storage.standing import standing
from storage.states import SelfTestState, SeriesState
from tests.support.databases import database_url

pytestmark = pytest.mark.database

NOW = datetime(2024, 5, 1, tzinfo=UTC)
OWN, PATIENTS = "2.25.77", "2.25.9"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = open_database(database_url(tmp_path))
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        yield session
    engine.dispose()


def note(session: Session, series: str, *, own: bool) -> None:
    facts = InstanceFacts(
        sop_instance_uid=f"{series}.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=series,
        study_instance_uid=f"{series}.8",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae="AINODE" if own else "CT1",
        path=f"incoming/{series}",
        digest="a",
        bytes=3,
        of_self_test=own,
    )
    record_instance(session, facts, NOW)
    record_instance(session, replace(facts, sop_instance_uid=f"{series}.2", path=f"{series}"), NOW)


def claimed(session: Session) -> SeriesTicket:
    """Close the series of the self-test, and claim it."""
    (series,) = (one for one in receiving(session) if one.of_self_test)
    record_closing(session, series, "quiet", 60.0, NOW)
    close(session, series, NOW)
    ticket = claim_next(session, NOW)
    assert ticket is not None
    return ticket


def test_neither_lists_nor_counts_hold_it_in_any_state(session: Session) -> None:
    note(session, PATIENTS, own=False)
    note(session, OWN, own=True)

    for step in (lambda: None, lambda: claimed(session)):
        step()
        assert overview(session).states == {SeriesState.RECEIVING: 1}
        assert [one.series_instance_uid for one in overview(session).series] == [PATIENTS]
        assert standing(session, [], NOW).series == {SeriesState.RECEIVING: 1}
        assert set(standing(session, [], NOW).waiting_since) == {SeriesState.RECEIVING}
        assert [one.series_instance_uid for one in worklist(session, Filter(), 9)] == [PATIENTS]
        assert (tiles(session, NOW).waiting, tiles(session, NOW).analysing) == (1, 0)
        assert [one.calling_ae for one in sender_lines(session, NOW)] == ["CT1"]
        assert [one.series_instance_uid for one in queue(session, None)] == [PATIENTS]
        assert [one.series_instance_uid for one in ended_series(session)] == [PATIENTS]
        assert [one.series_instance_uid for one in series_usages(session)] == [PATIENTS]
        assert series_uids(session, series=OWN) == series_uids(session, study=f"{OWN}.8") == []
        assert waits(session, NOW - timedelta(days=1)) == []


def test_its_ticket_and_its_open_series_say_what_it_is(session: Session) -> None:
    note(session, PATIENTS, own=False)
    note(session, OWN, own=True)

    assert {one.series_instance_uid: one.of_self_test for one in receiving(session)} == {
        PATIENTS: False,
        OWN: True,
    }
    assert claimed(session).of_self_test


def test_what_it_found_is_kept_beside_results_and_its_rows_can_go(session: Session) -> None:
    number = request_self_test(session, NOW, "somebody")
    begin_self_test(session, number, OWN, NOW)
    note(session, OWN, own=True)

    state = keep_self_test_result(session, claimed(session), "m 1", "{}", NOW)

    assert state is SeriesState.DELIVERED
    assert session.get_one(Series, OWN).state is SeriesState.DELIVERED
    assert session.scalar(select(func.count()).select_from(Result)) == 0
    assert (self_test(session, number).found, self_test(session, number).model) == ("{}", "m 1")
    mark_for_erasure(session, OWN, NOW)
    erase_rows(session, OWN)
    assert session.get(Series, OWN) is None
    assert session.scalar(select(func.count()).select_from(SelfTestSeries)) == 0
    assert self_test(session, number).series_instance_uid == OWN


def test_who_asks_while_another_waits_gets_the_same_run(session: Session) -> None:
    number = request_self_test(session, NOW)
    assert request_self_test(session, NOW, "somebody") == number

    begin_self_test(session, number, OWN, NOW)

    assert request_self_test(session, NOW) != number


def test_later_runs_are_compared_with_the_first_that_passed_on_the_same_basis(
    session: Session,
) -> None:
    outcomes = (
        SelfTestOutcome(state=SelfTestState.FAILED, reason="no", basis="a"),
        SelfTestOutcome(state=SelfTestState.PASSED, basis="a"),
        SelfTestOutcome(state=SelfTestState.PASSED, basis="b"),
        SelfTestOutcome(state=SelfTestState.PASSED, basis="a"),
    )
    for hours, outcome in enumerate(outcomes):
        at = NOW + timedelta(hours=hours)
        number = request_self_test(session, at)
        begin_self_test(session, number, f"{OWN}.{hours}", at)
        end_self_test(session, number, outcome, at)

    known = {basis: first_passed(session, basis) for basis in "abc"}
    assert {b: run and run.series_instance_uid for b, run in known.items()} == {
        "a": f"{OWN}.1",
        "b": f"{OWN}.2",
        "c": None,
    }
    assert [run.series_instance_uid for run in latest_self_tests(session, 2)] == [
        f"{OWN}.3",
        f"{OWN}.2",
    ]
    latest = latest_passed(session)
    assert latest is not None
    assert latest.series_instance_uid == f"{OWN}.3"
