"""Rows of series and instances through the states of a series."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from storage.database.engine import open_database
from storage.database.schema import Base, Instance, Series
from storage.errors import StaleState, StorageError
from storage.maintenance.recovery import recover
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import known_among, record_instance
from storage.series.lifecycle import (
    SeriesTicket,
    claim_next,
    close,
    give_back,
    leave,
    receiving,
    reprocess,
)
from storage.series.rerun import mark_for_rerun, start_reruns
from storage.series.study import series_numbers
from storage.states import Rerun, SeriesState
from tests.support.databases import database_url, migrated_database

pytestmark = pytest.mark.database

NOW = datetime(2024, 2, 29, 23, 59, tzinfo=UTC)
S = SeriesState
CT = "1.2.840.10008.5.1.4.1.1.2"


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def facts(uid: str, series: str = "9", *, digest: str = "a", ae: str = "CT1") -> InstanceFacts:
    return InstanceFacts(
        sop_instance_uid=uid,
        sop_class_uid=CT,
        series_instance_uid=series,
        study_instance_uid="8",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae=ae,
        path=f"incoming/{uid}-{digest}",
        digest=digest,
        bytes=5_000_000_000,
    )


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = migrated_database(tmp_path)
    yield engine
    engine.dispose()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = open_database(database_url(tmp_path))
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        yield session
    engine.dispose()


def stable(session: Session, *uids: str, series: str = "9") -> None:
    for uid in uids or ("1",):
        record_instance(session, facts(uid, series), NOW)
    (quiet,) = [row for row in receiving(session) if row.series_instance_uid == series]
    close(session, quiet, NOW)


def claimed(session: Session, *uids: str) -> SeriesTicket:
    stable(session, *uids)
    ticket = claim_next(session, NOW)
    assert ticket is not None
    return ticket


def row(session: Session, uid: str = "9") -> Series:
    return session.get_one(Series, uid, populate_existing=True)


def test_first_instance_makes_the_series(session: Session) -> None:
    assert record_instance(session, facts("1"), NOW)

    series = row(session)
    assert (series.state, series.generation, series.instances) == (S.RECEIVING, 1, 1)
    assert (series.first_at, series.last_at, series.calling_ae) == (NOW, NOW, "CT1")
    assert session.get_one(Instance, ("1", "a")).bytes == 5_000_000_000
    assert known_among(session, ["incoming/1-a", "incoming/1-b"]) == {"incoming/1-a"}


def test_instance_noted_again_is_not_new_but_its_sender_is_still_sending(session: Session) -> None:
    record_instance(session, facts("1"), NOW)
    assert not record_instance(session, facts("1", ae="ROUTER"), after(5))

    assert (row(session).instances, row(session).last_at) == (1, after(5))
    assert row(session).calling_ae == "ROUTER"


def test_instance_noted_again_does_not_stir_a_closed_series(session: Session) -> None:
    stable(session)
    assert not record_instance(session, facts("1"), after(5))
    assert (row(session).state, row(session).last_at, row(session).generation) == (
        S.STABLE,
        NOW,
        1,
    )


def test_other_bytes_under_the_same_uid_supersede_the_earlier(session: Session) -> None:
    record_instance(session, facts("1", digest="a"), NOW)
    record_instance(session, facts("2"), NOW)
    assert record_instance(session, facts("1", digest="b"), after(1))

    assert row(session).instances == 2
    close(session, receiving(session)[0], after(1))
    ticket = claim_next(session, after(1))
    assert ticket is not None
    assert (ticket.sop_instance_uids, ticket.digests) == (("1", "2"), ("b", "a"))
    assert ticket.paths == ("incoming/1-b", "incoming/2-a")
    assert session.get_one(Instance, ("1", "a")).superseded


def test_first_bytes_sent_once_more_are_the_newest_again(session: Session) -> None:
    for seconds, digest in enumerate("aba"):
        assert record_instance(session, facts("1", digest=digest), after(seconds))
    used = session.scalars(select(Instance.digest).where(~Instance.superseded)).all()
    assert (used, row(session).instances) == (["a"], 1)


def test_file_found_late_does_not_replace_what_came_after_it(session: Session) -> None:
    record_instance(session, facts("1", digest="b"), NOW)
    assert not record_instance(session, facts("1", digest="a"), after(-60))

    assert session.get_one(Instance, ("1", "a")).superseded
    assert not session.get_one(Instance, ("1", "b")).superseded
    assert (row(session).instances, row(session).last_at) == (1, NOW)
    assert row(session).first_at == after(-60)


def test_same_uid_in_another_series_is_another_instance(session: Session) -> None:
    record_instance(session, facts("1", "9", digest="a"), NOW)
    record_instance(session, facts("1", "10", digest="b"), after(1))
    assert (row(session, "9").instances, row(session, "10").instances) == (1, 1)


def test_series_that_grew_since_it_was_quiet_is_not_closed(session: Session) -> None:
    record_instance(session, facts("1"), NOW)
    (quiet,) = receiving(session)
    record_instance(session, facts("2"), NOW)
    with pytest.raises(StaleState, match="changed"):
        close(session, quiet, NOW)
    assert row(session).state is S.RECEIVING


def test_series_is_closed_once(session: Session) -> None:
    record_instance(session, facts("1"), NOW)
    (quiet,) = receiving(session)
    close(session, quiet, NOW)
    with pytest.raises(StaleState):
        close(session, quiet, NOW)


def test_ticket_says_what_to_analyse(session: Session) -> None:
    ticket = claimed(session, "2", "1")
    assert ticket == SeriesTicket(
        series_instance_uid="9",
        study_instance_uid="8",
        generation=1,
        attempts=1,
        calling_ae="CT1",
        sop_instance_uids=("1", "2"),
        digests=("a", "a"),
        paths=("incoming/1-a", "incoming/2-a"),
        predecessor_key=None,
    )
    assert row(session).state is S.ANALYSING
    assert claim_next(session, NOW) is None


def test_series_that_failed_before_lets_others_pass(session: Session) -> None:
    give_back(session, claimed(session), NOW, reason="worker lost")
    stable(session, "5", series="10")
    order = [claim_next(session, NOW), claim_next(session, NOW)]
    assert [(ticket.series_instance_uid, ticket.attempts) for ticket in order if ticket] == [
        ("10", 1),
        ("9", 2),
    ]


def test_documents_alone_may_be_claimed(session: Session) -> None:
    waiting(session, "5", "6")
    session.get_one(Series, "6").of_documents = True
    session.flush()

    claimed_now = claim_next(session, NOW, documents_only=True)

    assert claimed_now is not None
    assert claimed_now.series_instance_uid == "6"
    assert claim_next(session, NOW, documents_only=True) is None
    assert claim_next(session, NOW) is not None


def order(session: Session, urgent_aes: frozenset[str] = frozenset()) -> list[str]:
    """Who is claimed, one after the other."""
    tickets = iter(lambda: claim_next(session, NOW, urgent_aes), None)
    return [ticket.series_instance_uid for ticket in tickets if ticket]


def waiting(session: Session, *series: str, urgent: str = "") -> None:
    """Close some series, one second after the other."""
    for second, uid in enumerate(series):
        record_instance(session, replace(facts(uid, uid, ae=f"CT{uid}"), urgent=uid == urgent), NOW)
        for quiet in receiving(session):
            close(session, quiet, after(second))


def test_who_waits_longest_comes_first(session: Session) -> None:
    waiting(session, "12", "10", "11")
    assert order(session) == ["12", "10", "11"]


def test_an_urgent_series_comes_first(session: Session) -> None:
    waiting(session, "10", "11", "12", urgent="12")
    assert order(session) == ["12", "10", "11"]


def test_series_of_urgent_senders_come_first(session: Session) -> None:
    waiting(session, "10", "11", "12")
    assert order(session, frozenset({"CT11"})) == ["11", "10", "12"]


def test_one_urgent_instance_makes_a_series_urgent(session: Session) -> None:
    record_instance(session, facts("1"), NOW)
    record_instance(session, replace(facts("2"), urgent=True), NOW)
    record_instance(session, facts("3"), NOW)
    assert row(session).urgent


def test_what_a_person_wants_once_more_lets_new_series_pass(session: Session) -> None:
    leave(session, claimed(session), NOW, new=S.FAILED, reason="x")
    mark_for_rerun(session, "9", Rerun.REPROCESS)
    start_reruns(session, NOW)
    stable(session, "5", series="10")
    assert order(session) == ["10", "9"]


def test_a_failed_attempt_is_followed_by_a_wait(session: Session) -> None:
    ticket = claimed(session)
    give_back(session, ticket, NOW, not_before=after(30))

    assert claim_next(session, after(29)) is None
    again = claim_next(session, after(30))

    assert again is not None
    assert again.attempts == 2
    assert row(session).not_before is None


def test_a_clock_that_was_put_back_ends_the_wait(session: Session) -> None:
    ticket = claimed(session)
    give_back(session, ticket, after(86400), not_before=after(86430))

    assert claim_next(session, NOW) is not None


def test_a_new_instance_ends_the_wait(session: Session) -> None:
    give_back(session, claimed(session), NOW, not_before=after(3600))
    record_instance(session, facts("2"), NOW)
    (quiet,) = receiving(session)
    close(session, quiet, NOW)

    assert claim_next(session, NOW) is not None


def test_an_attempt_that_was_not_the_fault_of_the_series_is_not_counted(session: Session) -> None:
    give_back(session, claimed(session), NOW, counted=False)

    again = claim_next(session, NOW)

    assert again is not None
    assert again.attempts == 1


def test_reasons_are_kept_and_go_with_the_state(session: Session) -> None:
    leave(session, claimed(session), after(3), new=S.UNSUITABLE, reason="too few")
    assert (row(session).reason, row(session).since) == ("too few", after(3))
    reprocess(session, "9", after(4))
    assert (row(session).state, row(session).reason, row(session).attempts) == (S.STABLE, "", 0)
    ticket = claim_next(session, after(5))
    assert ticket
    leave(session, ticket, after(6), new=S.FAILED, reason="no memory")
    assert row(session).reason == "no memory"


def test_late_instance_opens_an_ended_series_with_the_next_generation(session: Session) -> None:
    leave(session, claimed(session), NOW, new=S.FAILED, reason="gap")
    assert record_instance(session, facts("2"), after(9))
    series = row(session)
    assert (series.state, series.generation, series.attempts) == (S.RECEIVING, 2, 0)
    assert (series.reason, series.instances, series.last_at) == ("", 2, after(9))


@pytest.mark.parametrize("new", [S.STABLE, S.FAILED, S.UNSUITABLE])
def test_late_instance_during_analysis_is_honoured_on_leaving_it(
    session: Session, new: SeriesState
) -> None:
    ticket = claimed(session)
    record_instance(session, facts("2"), after(1))
    assert row(session).state is S.ANALYSING

    assert leave(session, ticket, after(2), new=new) is S.RECEIVING
    series = row(session)
    assert (series.state, series.generation, series.reopened) == (S.RECEIVING, 2, False)


def test_result_of_a_lost_claim_is_stale(session: Session) -> None:
    lost = claimed(session)
    assert recover(session, NOW).series == 1
    assert claim_next(session, NOW)
    with pytest.raises(StaleState, match="expected"):
        leave(session, lost, NOW, new=S.FAILED, reason="x")
    assert row(session).state is S.ANALYSING


def test_recovery_honours_a_late_instance(session: Session) -> None:
    claimed(session)
    record_instance(session, facts("2"), NOW)
    recover(session, NOW)
    assert (row(session).state, row(session).generation) == (S.RECEIVING, 2)


def test_recovery_counts_tries(session: Session) -> None:
    claimed(session)
    recover(session, NOW)
    ticket = claim_next(session, NOW)
    assert ticket
    assert ticket.attempts == 2


def test_reprocess_is_for_series_that_have_ended(session: Session) -> None:
    stable(session)
    with pytest.raises(StaleState, match="has ended, 9 is stable"):
        reprocess(session, "9", NOW)
    with pytest.raises(StorageError, match=r"none has the UID 1\.2"):
        reprocess(session, "1.2", NOW)


def test_naive_times_are_refused(session: Session) -> None:
    with pytest.raises(Exception, match="expected an aware time"):
        record_instance(session, facts("1"), NOW.replace(tzinfo=None))


def test_times_come_back_as_the_same_instant(session: Session) -> None:
    there = NOW.astimezone(tz=None)
    record_instance(session, facts("1"), there)
    session.expire_all()
    assert row(session).first_at == NOW
    assert row(session).first_at.tzinfo is UTC


def test_each_of_many_threads_claims_another_series(engine: Engine) -> None:
    count = 12
    with Session(engine) as session, session.begin():
        for number in range(count):
            stable(session, f"7.{number}", series=f"9.{number}")
    claims: list[str] = []
    start = threading.Barrier(4)

    def claim_all() -> None:
        start.wait()
        while True:
            with Session(engine) as session, session.begin():
                ticket = claim_next(session, NOW)
            if ticket is None:
                return
            claims.append(ticket.series_instance_uid)

    threads = [threading.Thread(target=claim_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == sorted(f"9.{number}" for number in range(count))


def test_instances_noted_by_many_threads_are_all_counted(engine: Engine) -> None:
    def note_all(start: int) -> None:
        for number in range(start, start + 15):
            with Session(engine) as session, session.begin():
                record_instance(session, facts(f"1.{number % 40}"), NOW)

    threads = [threading.Thread(target=note_all, args=(start,)) for start in (0, 10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Session(engine) as session:
        assert row(session).instances == 40


def test_what_an_instance_leaves_empty_stays_what_the_others_say(session: Session) -> None:
    told = {"patient_key": "p", "birth_digest": "b", "study_date": "20240229", "series_number": 4}
    for number, known in enumerate(({}, told, {})):
        record_instance(session, replace(facts(str(number)), **known), after(number))

    row = session.get_one(Series, "9")
    assert {name: getattr(row, name) for name in told} == told


def test_series_of_a_study_are_listed_as_they_came(session: Session) -> None:
    for second, (series, number) in enumerate((("9", 4), ("7", None), ("8", 9001))):
        record_instance(
            session, replace(facts(series, series), series_number=number), after(second)
        )
    record_instance(session, replace(facts("1", "1"), study_instance_uid="other"), NOW)

    assert series_numbers(session, "8") == [("9", 4), ("7", None), ("8", 9001)]
