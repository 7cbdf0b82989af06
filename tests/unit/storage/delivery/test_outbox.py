"""Results are kept with their deliveries, which are claimed once and settled."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.database.engine import open_database
from storage.database.schema import Base, Delivery, Result, ResultObject, Series
from storage.delivery.notices import Ending, end_series
from storage.delivery.outbox import (
    Settlement,
    begin_results,
    claim,
    due,
    keep_results,
    reuse_result,
    settle,
)
from storage.errors import StaleState, StorageError
from storage.maintenance.recovery import recover
from storage.results.kept_results import (
    KeptReport,
    NewObject,
    NewResult,
    begun_result,
    documents_of,
    is_whole,
    report_of,
)
from storage.results.priors import inputs_so_far
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import (
    SeriesTicket,
    claim_next,
    close,
    give_back,
    leave,
    receiving,
    reprocess,
)
from storage.states import DeliveryState, SeriesState
from tests.support.databases import database_url, migrated_database

pytestmark = pytest.mark.database

NOW = datetime(2024, 5, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
SOON = NOW + timedelta(seconds=1)
S, D = SeriesState, DeliveryState

RESULT = NewResult(
    key="k1", model="m 1", score=0.75, positive=True, summary="{}", folder="results/k1"
)


def new_object(uid: str) -> NewObject:
    return NewObject(
        sop_instance_uid=uid,
        kind="report",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        series_instance_uid="2.25.9",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=f"results/k1/{uid}.dcm",
    )


OBJECTS = (new_object("2.25.2"), new_object("2.25.1"))


def note(session: Session, uid: str) -> None:
    facts = InstanceFacts(
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid="9",
        study_instance_uid="8",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae="CT1",
        path=f"incoming/{uid}",
        digest="a",
        bytes=3,
    )
    record_instance(session, facts, NOW)


def claimed(session: Session, uid: str = "1") -> SeriesTicket:
    note(session, uid)
    close(session, receiving(session)[0], NOW)
    ticket = claim_next(session, NOW)
    assert ticket is not None
    return ticket


def keep(session: Session, ticket: SeriesTicket, *destinations: str) -> SeriesState:
    return keep_results(session, ticket, RESULT, OBJECTS, destinations=destinations, now=NOW)


def send(
    session: Session, destination: str, state: DeliveryState, reason: str = ""
) -> dict[str, SeriesState]:
    """Send all that is due, all with the same outcome."""
    next_at = LATER if state is D.PENDING else None
    taken = claim(session, due(session, destination, NOW, 99))
    return settle(
        session,
        [
            Settlement(id=delivery.id, state=state, reason=reason, next_at=next_at)
            for delivery in taken
        ],
        NOW,
    )


def state_of(session: Session) -> SeriesState:
    return session.get_one(Series, "9", populate_existing=True).state


def reason_of(session: Session) -> str:
    return session.get_one(Series, "9", populate_existing=True).reason


def count(session: Session, table: type[Base]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


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


def test_result_is_kept_with_a_delivery_of_each_object_to_each_destination(
    session: Session,
) -> None:
    assert keep(session, claimed(session), "PACS", "VNA") is S.ENCODED

    assert (state_of(session), is_whole(session, "k1")) == (S.ENCODED, True)
    pairs = session.execute(select(Delivery.destination, Delivery.sop_instance_uid)).all()
    assert sorted(pairs) == [
        (destination, uid) for destination in ("PACS", "VNA") for uid in ("2.25.1", "2.25.2")
    ]
    result = session.get_one(Result, "k1")
    assert (result.generation, result.created_at, result.score) == (1, NOW, 0.75)


def begin(session: Session, ticket: SeriesTicket, *destinations: str) -> bool:
    begun = replace(RESULT, begun_on="today x")
    return begin_results(session, ticket, begun, OBJECTS[:1], destinations=destinations, now=NOW)


def test_what_comes_first_is_sent_while_the_series_is_still_analysed(session: Session) -> None:
    ticket = claimed(session)
    assert begin(session, ticket, "PACS")

    assert [one.sop_instance_uid for one in due(session, "PACS", NOW, 99)] == ["2.25.2"]
    assert send(session, "PACS", D.ACCEPTED) == {"9": S.ANALYSING}
    assert not is_whole(session, "k1")

    assert keep(session, ticket, "PACS") is S.ENCODED
    assert is_whole(session, "k1")
    assert [one.sop_instance_uid for one in due(session, "PACS", NOW, 99)] == ["2.25.1"]
    assert send(session, "PACS", D.ACCEPTED) == {"9": S.DELIVERED}
    assert count(session, ResultObject) == 2


def without_summary(session: Session) -> SeriesTicket:
    """A result is begun of which a destination declines the segmentation."""
    session.info["substitutes"] = {"segmentation": ("heatmap",)}
    ticket = claimed(session)
    begun = replace(RESULT, begun_on="today x")
    first = [replace(new_object("2.25.1"), kind="segmentation")]
    begin_results(session, ticket, begun, first, destinations=["PACS"], now=NOW)
    assert send(session, "PACS", D.DECLINED, "no") == {"9": S.ANALYSING}
    return ticket


def test_what_is_still_to_come_stands_for_what_was_declined(session: Session) -> None:
    ticket = without_summary(session)
    objects = [
        replace(new_object(uid), kind=kind)
        for uid, kind in (("2.25.1", "segmentation"), ("2.25.2", "heatmap"))
    ]
    keep_results(session, ticket, RESULT, objects, destinations=["PACS"], now=NOW)
    assert send(session, "PACS", D.ACCEPTED) == {"9": S.DELIVERED}


@pytest.mark.parametrize("ends", [True, False])
def test_what_was_declined_is_settled_when_nothing_more_comes(session: Session, ends: bool) -> None:
    ticket = without_summary(session)
    if ends:
        ending = Ending(state=S.FAILED, reason="broken")
        end_series(session, ticket, ending, ["PACS"], NOW)
    else:
        other = replace(RESULT, key="k2", folder="results/k2")
        objects = [replace(new_object("2.25.7"), path="results/k2/7")]
        keep_results(session, ticket, other, objects, destinations=["PACS"], now=NOW)
    first = session.scalars(select(Delivery).where(Delivery.sop_instance_uid == "2.25.1")).one()
    session.refresh(first)
    assert first.state is D.REFUSED


def test_a_result_that_was_begun_is_found_by_the_next_attempt(session: Session) -> None:
    keep(session, claimed(session))
    reprocess(session, "9", NOW)
    ticket = claim_next(session, NOW)
    assert ticket is not None
    second = replace(RESULT, key="k2", folder="results/k2", begun_on="today x")
    objects = [replace(new_object("2.25.7"), path="results/k2/7")]
    assert begin_results(session, ticket, second, objects, destinations=(), now=NOW)
    give_back(session, ticket, NOW)

    again = claim_next(session, NOW)

    assert again is not None
    assert inputs_so_far(session, "9")[-1] == ""
    found = begun_result(session, again)
    assert found is not None
    assert (found.key, found.begun_on, found.revision) == ("k2", "today x", 2)
    assert (found.predecessor_key, found.folder) == ("k1", "results/k2")


def test_nothing_is_begun_of_a_series_that_changed_or_was_claimed_anew(session: Session) -> None:
    ticket = claimed(session)
    note(session, "2")
    assert not begin(session, ticket, "PACS")
    assert keep(session, ticket, "PACS") is S.RECEIVING
    assert not begin(session, ticket, "PACS")
    assert count(session, Delivery) == 0


def test_the_next_generation_does_not_complete_what_was_begun(session: Session) -> None:
    ticket = claimed(session)
    assert begin(session, ticket, "PACS")
    note(session, "2")
    assert keep(session, ticket, "PACS") is S.RECEIVING
    close(session, receiving(session)[0], NOW)

    new = claim_next(session, NOW)

    assert new is not None
    assert new.predecessor_key == "k1"
    assert begun_result(session, new) is None


def test_nothing_is_kept_if_the_transaction_fails(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        ticket = claimed(session)
    broken = [*OBJECTS, OBJECTS[0]]
    with pytest.raises(IntegrityError), Session(engine) as session, session.begin():
        keep_results(session, ticket, RESULT, broken, destinations=["PACS"], now=NOW)

    with Session(engine) as session:
        assert state_of(session) is S.ANALYSING
        assert [count(session, table) for table in (Result, ResultObject, Delivery)] == [0, 0, 0]


def test_without_a_destination_the_series_is_delivered_at_once(session: Session) -> None:
    assert keep(session, claimed(session)) is S.DELIVERED
    assert state_of(session) is S.DELIVERED


def test_result_of_an_older_generation_is_not_kept(session: Session) -> None:
    old = claimed(session)
    leave(session, old, NOW, new=S.FAILED, reason="x")
    new = claimed(session, "2")
    assert new.generation == 2
    with pytest.raises(StaleState):
        keep(session, old, "PACS")
    assert count(session, Result) == 0
    assert state_of(session) is S.ANALYSING


def test_instance_that_came_during_the_analysis_asks_for_a_better_result(session: Session) -> None:
    ticket = claimed(session)
    note(session, "2")
    assert keep(session, ticket, "PACS") is S.RECEIVING
    assert (count(session, Result), count(session, Delivery)) == (0, 0)


def test_next_generation_names_its_predecessor(session: Session) -> None:
    keep(session, claimed(session), "PACS")
    assert claimed(session, "2").predecessor_key == "k1"


def test_report_of_a_result_can_be_found(session: Session) -> None:
    picture = replace(new_object("2.25.3"), kind="heatmap")
    report = new_object("2.25.1")
    ticket = claimed(session)
    keep_results(session, ticket, RESULT, [picture, report], destinations=[], now=NOW)
    assert report_of(session, "k1", ("report", "notice")) == KeptReport(
        sop_class_uid=report.sop_class_uid,
        sop_instance_uid="2.25.1",
        series_instance_uid="2.25.9",
    )
    assert report_of(session, "k2", ("report", "notice")) is None


def test_documents_of_a_result_can_be_found_by_kind(session: Session) -> None:
    kinds = ("heatmap", "report", "text-report", "key-images")
    objects = [replace(new_object(f"2.25.{n}"), kind=kind) for n, kind in enumerate(kinds, 1)]
    keep_results(session, claimed(session), RESULT, objects, destinations=[], now=NOW)
    found = documents_of(session, "k1", kinds[1:])
    assert {kind: document.sop_instance_uid for kind, document in found.items()} == {
        "report": "2.25.2",
        "text-report": "2.25.3",
        "key-images": "2.25.4",
    }


def test_due_are_in_the_order_of_the_result_and_in_time(session: Session) -> None:
    keep(session, claimed(session), "PACS")
    assert [delivery.sop_instance_uid for delivery in due(session, "PACS", NOW, 9)] == [
        "2.25.2",
        "2.25.1",
    ]
    assert len(due(session, "PACS", NOW, 1)) == 1
    assert due(session, "PACS", NOW - timedelta(seconds=1), 9) == []
    assert len(due(session, "PACS", NOW - timedelta(hours=1), 9)) == 2  # the clock was put back
    session.execute(update(Delivery).values(first_at=NOW - timedelta(days=4)))
    set_back = NOW - timedelta(days=3)  # what was postponed under a clock that ran ahead
    assert due(session, "PACS", set_back, 9) == []
    assert len(due(session, "PACS", set_back, 9, longest_wait=timedelta(hours=1))) == 2
    assert due(session, "PACS", set_back, 9, longest_wait=timedelta(days=3)) == []
    session.execute(update(Delivery).values(first_at=NOW))
    assert due(session, "VNA", NOW, 9) == []
    first = due(session, "PACS", NOW, 1)[0]
    assert (first.path, first.kind, first.result_key, first.attempts, first.first_at) == (
        "results/k1/2.25.2.dcm",
        "report",
        "k1",
        0,
        NOW,
    )


def test_what_was_recorded_in_the_future_is_tried_once_and_then_waits(session: Session) -> None:
    keep(session, claimed(session), "PACS")
    back = NOW - timedelta(days=3)
    taken = claim(session, due(session, "PACS", back, 9))
    pending = [
        Settlement(id=delivery.id, state=D.PENDING, next_at=back + timedelta(minutes=5))
        for delivery in taken
    ]
    settle(session, pending, back)

    assert due(session, "PACS", back + timedelta(minutes=4), 9, longest_wait=LATER - NOW) == []
    assert {delivery.first_at for delivery in due(session, "PACS", NOW, 9)} == {back}


def test_what_had_no_answer_comes_alone_and_last_and_in_its_own_time(session: Session) -> None:
    keep(session, claimed(session), "PACS")
    first, second = claim(session, due(session, "PACS", NOW, 9))
    silent = Settlement(id=first.id, state=D.PENDING, next_at=LATER, unanswered=True)
    settle(session, [silent, Settlement(id=second.id, state=D.PENDING, next_at=SOON)], NOW)

    def found(now: datetime) -> list[int]:
        return [delivery.id for delivery in due(session, "PACS", now, 9)]

    assert found(SOON) == [second.id]
    assert found(LATER) == [second.id]
    claim(session, due(session, "PACS", LATER, 9))
    assert found(LATER - timedelta(seconds=1)) == []
    assert found(LATER) == [first.id]


def test_what_waits_of_a_study_comes_along_in_order(session: Session) -> None:
    """A destination was away; then a late instance brought the next revision of the result."""
    keep(session, claimed(session), "PACS")
    send(session, "PACS", D.PENDING, "unreachable")
    again = replace(RESULT, key="k0")
    objects = [replace(new_object(uid), path=f"results/k0/{uid}") for uid in ("2.25.4", "2.25.3")]
    keep_results(session, claimed(session, "2"), again, objects, destinations=["PACS"], now=SOON)
    found = [delivery.sop_instance_uid for delivery in due(session, "PACS", SOON, 9)]
    assert found == ["2.25.2", "2.25.1", "2.25.4", "2.25.3"]


def test_what_is_claimed_is_not_due_and_not_claimed_again(session: Session) -> None:
    keep(session, claimed(session), "PACS")
    offered = due(session, "PACS", NOW, 9)
    assert claim(session, offered) == [replace(delivery, attempts=1) for delivery in offered]
    assert claim(session, offered) == []
    assert due(session, "PACS", LATER, 9) == []


def test_series_is_delivered_when_every_destination_has_everything(session: Session) -> None:
    keep(session, claimed(session), "PACS", "VNA")
    assert send(session, "PACS", D.ACCEPTED) == {"9": S.ENCODED}
    assert send(session, "VNA", D.ACCEPTED) == {"9": S.DELIVERED}
    assert state_of(session) is S.DELIVERED


def test_retry_waits_for_its_time_and_counts(session: Session) -> None:
    keep(session, claimed(session), "PACS")
    assert send(session, "PACS", D.PENDING, "unreachable") == {"9": S.ENCODED}
    assert due(session, "PACS", NOW, 9) == []
    assert [delivery.attempts for delivery in due(session, "PACS", LATER, 9)] == [1, 1]


def test_refusal_fails_the_series_only_when_nothing_is_under_way(session: Session) -> None:
    keep(session, claimed(session), "PACS", "VNA")
    assert send(session, "PACS", D.REFUSED, "status 0122") == {"9": S.ENCODED}
    assert send(session, "VNA", D.ACCEPTED) == {"9": S.FAILED}
    assert reason_of(session) == "PACS refused 2 objects: status 0122"


def test_settling_what_is_not_claimed_is_stale(session: Session) -> None:
    keep(session, claimed(session), "PACS")
    taken = claim(session, due(session, "PACS", NOW, 9))
    assert recover(session, NOW).deliveries == 2
    with pytest.raises(StaleState, match="to be sending"):
        settle(session, [Settlement(id=taken[0].id, state=D.ACCEPTED)], NOW)
    assert len(due(session, "PACS", NOW, 9)) == 2


@pytest.mark.parametrize(
    ("state", "next_at"), [(D.PENDING, None), (D.ACCEPTED, NOW), (D.REFUSED, NOW)]
)
def test_a_next_time_belongs_to_pending(state: DeliveryState, next_at: datetime | None) -> None:
    with pytest.raises(ValueError, match="next time"):
        Settlement(id=1, state=state, next_at=next_at)


def test_settlement_cannot_claim(session: Session) -> None:
    with pytest.raises(ValueError, match="no step"):
        settle(session, [Settlement(id=1, state=D.SENDING)], NOW)


def test_old_result_is_still_delivered_while_the_next_is_made(session: Session) -> None:
    keep(session, claimed(session), "PACS")
    note(session, "2")
    assert send(session, "PACS", D.ACCEPTED) == {"9": S.RECEIVING}
    assert state_of(session) is S.RECEIVING


def test_end_of_an_old_result_does_not_end_the_series_of_the_next(session: Session) -> None:
    keep(session, claimed(session), "PACS")
    old = claim(session, due(session, "PACS", NOW, 9))
    better = replace(RESULT, key="k2")
    objects = [new_object("2.25.3")]
    keep_results(session, claimed(session, "2"), better, objects, destinations=["PACS"], now=NOW)
    outcomes = [Settlement(id=delivery.id, state=D.ACCEPTED) for delivery in old]
    assert settle(session, outcomes, NOW) == {"9": S.ENCODED}
    assert send(session, "PACS", D.ACCEPTED) == {"9": S.DELIVERED}


def analyse_again(session: Session) -> SeriesTicket:
    reprocess(session, "9", NOW)
    ticket = claim_next(session, NOW)
    assert ticket is not None
    return ticket


def deliveries(session: Session) -> Sequence[tuple[str, DeliveryState, int]]:
    columns = (Delivery.destination, Delivery.state, Delivery.attempts)
    return session.execute(select(*columns).order_by(Delivery.id)).all()


@pytest.mark.parametrize(
    ("outcome", "again", "expected"),
    [
        (D.ACCEPTED, S.DELIVERED, (D.ACCEPTED, 1)),
        (D.PENDING, S.ENCODED, (D.PENDING, 1)),
        (D.REFUSED, S.ENCODED, (D.PENDING, 0)),
    ],
)
def test_same_result_again_is_not_made_twice(
    session: Session,
    outcome: DeliveryState,
    again: SeriesState,
    expected: tuple[DeliveryState, int],
) -> None:
    keep(session, claimed(session), "PACS")
    send(session, "PACS", outcome)
    assert keep(session, analyse_again(session), "PACS") is again
    assert deliveries(session) == [("PACS", *expected)] * 2
    assert count(session, Result) == 1


def test_same_result_again_goes_to_new_destinations(session: Session) -> None:
    keep(session, claimed(session), "PACS")
    send(session, "PACS", D.ACCEPTED)
    ticket = analyse_again(session)
    assert reuse_result(session, ticket, "k1", ["PACS", "VNA"], NOW) is S.ENCODED
    assert [delivery.destination for delivery in due(session, "VNA", NOW, 9)] == ["VNA", "VNA"]
    assert send(session, "VNA", D.ACCEPTED) == {"9": S.DELIVERED}


def test_result_of_no_or_another_series_cannot_be_reused(session: Session) -> None:
    keep(session, claimed(session))
    ticket = analyse_again(session)
    with pytest.raises(StorageError, match="got k2"):
        reuse_result(session, ticket, "k2", [], NOW)
    with pytest.raises(StorageError, match="got k1"):
        reuse_result(session, replace(ticket, series_instance_uid="10"), "k1", [], NOW)


def test_late_instance_comes_before_a_reused_result(session: Session) -> None:
    keep(session, claimed(session))
    ticket = analyse_again(session)
    note(session, "2")
    assert reuse_result(session, ticket, "k1", ["PACS"], NOW) is S.RECEIVING
    assert count(session, Delivery) == 0


def test_each_delivery_is_claimed_by_one_thread(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        objects = [new_object(f"2.25.{number}") for number in range(30)]
        keep_results(session, claimed(session), RESULT, objects, destinations=["PACS"], now=NOW)
    taken: list[int] = []
    start = threading.Barrier(3)

    def claim_all() -> None:
        start.wait()
        while True:
            with Session(engine) as session, session.begin():
                offered = due(session, "PACS", NOW, 4)
                got = claim(session, offered)
            taken.extend(delivery.id for delivery in got)
            if not offered:
                return

    threads = [threading.Thread(target=claim_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 31))
