"""Requests for commitment end, whatever the answers leave out and whatever the clock does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.resources import Resources
from storage.database.schema import Delivery
from storage.delivery.commitments import (
    Report,
    accept_unanswered,
    enter_report,
    record_rejection,
    record_request,
)
from storage.delivery.outbox import Settlement, claim, due, settle
from storage.states import DeliveryState
from tests.support.results_due import START, UIDS, Hands, store_with_results

pytestmark = pytest.mark.database

D = DeliveryState
AGAIN = timedelta(hours=6)
NO_SUCH_OBJECT = 0x0112


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return store_with_results(tmp_path, Hands())


@pytest.fixture
def session(resources: Resources) -> Iterator[Session]:
    """Three results that their destination has accepted."""
    with resources.sessions.begin() as session:
        accept(session, START)
        yield session


def accept(session: Session, now: datetime) -> None:
    for delivery in claim(session, due(session, "PACS", now, 9)):
        settle(session, [Settlement(id=delivery.id, state=D.UNCOMMITTED, next_at=now)], now)


def ask(session: Session, now: datetime, number: int) -> int:
    """Ask as a requester does; return how many objects it asks for."""
    accept_unanswered(session, "PACS", now, requests=4, means="commitment", longest_wait=AGAIN)
    asked = record_request(
        session,
        "PACS",
        now,
        transaction_uid=f"2.25.{number}",
        again_at=now + AGAIN,
        longest_wait=AGAIN,
    )
    session.flush()
    return len(asked)


def report(
    session: Session, number: int, *committed: str, failed: str = "", now: datetime = START
) -> bool:
    answer = Report(
        transaction_uid=f"2.25.{number}",
        committed=set(committed),
        failed={failed: NO_SUCH_OBJECT} if failed else {},
    )
    return enter_report(session, answer, now, tries=3) is not None


def states(session: Session) -> list[tuple[str, str]]:
    session.flush()
    session.expire_all()
    rows = session.scalars(select(Delivery).order_by(Delivery.id))
    return [(str(row.state), row.reason) for row in rows]


def test_what_every_answer_leaves_out_is_unanswered_and_ends(session: Session) -> None:
    now, asked = START, []
    for number in range(9):
        asked.append(ask(session, now, number))
        report(session, number, *UIDS[:2], now=now)
        if number < 3:
            reason = "left out of an answer to a request for storage commitment"
            assert states(session)[2] == ("uncommitted", reason)
        now += AGAIN

    assert asked == [3, 1, 1, 1, 0, 0, 0, 0, 0]
    reason = "no answer to 4 requests for commitment"
    assert states(session) == [("committed", "")] * 2 + [("accepted", reason)]


def test_one_answer_may_come_in_several_reports(session: Session) -> None:
    ask(session, START, 1)
    assert report(session, 1, UIDS[0])
    assert report(session, 1, UIDS[1], failed=UIDS[2])

    assert [state for state, _ in states(session)] == ["committed", "committed", "pending"]
    assert not report(session, 1, *UIDS)  # all of it was answered


def test_a_report_repeated_after_the_object_was_sent_again_changes_nothing(
    session: Session,
) -> None:
    ask(session, START, 1)
    report(session, 1, *UIDS[:2], failed=UIDS[2])
    accept(session, START)
    assert not report(session, 1, *UIDS[:2], failed=UIDS[2])

    assert [state for state, _ in states(session)] == ["committed", "committed", "uncommitted"]


def test_a_report_to_a_request_that_nobody_made_changes_nothing(session: Session) -> None:
    ask(session, START, 1)
    assert not report(session, 2, *UIDS)
    assert {state for state, _ in states(session)} == {"uncommitted"}


@pytest.mark.parametrize("back", [timedelta(days=3), timedelta(minutes=61)])
def test_a_clock_that_was_put_back_delays_no_request(session: Session, back: timedelta) -> None:
    assert ask(session, START, 1) == 3
    now = START - back
    assert ask(session, now, 2) == 3  # recorded in the future: not waited for
    assert ask(session, now + timedelta(minutes=1), 3) == 0  # but once
    for number in range(4, 9):
        now += AGAIN
        ask(session, now, number)

    assert {state for state, _ in states(session)} == {"accepted"}  # each of them counted


def test_a_request_beyond_any_wait_shows_a_clock_put_back(session: Session) -> None:
    row = session.scalars(select(Delivery).where(Delivery.sop_instance_uid == UIDS[0])).one()
    row.first_at, row.next_at = START - timedelta(days=9), START + AGAIN + timedelta(minutes=2)
    session.flush()
    assert ask(session, START, 1) == 3


def test_a_request_that_was_rejected_counts_for_all(session: Session) -> None:
    ask(session, START, 1)
    record_rejection(session, "2.25.1", "the destination is away")
    assert states(session) == [("uncommitted", "the destination is away")] * 3
    assert ask(session, START + AGAIN - timedelta(seconds=1), 2) == 0
    assert ask(session, START + AGAIN, 3) == 3
