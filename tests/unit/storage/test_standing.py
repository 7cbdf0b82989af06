"""Numbers of what waits and of what has ended."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from storage.database.engine import open_database
from storage.database.schema import Base, Result
from storage.delivery.outbox import Settlement, claim, due, settle
from storage.delivery.pauses import pause
from storage.series.lifecycle import close, receiving
from storage.series.quarantine_and_refusals import record_quarantine
from storage.standing import LATEST, standing
from storage.states import DeliveryState, SeriesState
from tests.support.databases import database_url
from tests.unit.storage.test_overview import deliver_half, note

pytestmark = pytest.mark.database

NOW = datetime(2024, 5, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = open_database(database_url(tmp_path))
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        yield session
    engine.dispose()


def test_nothing_yet(session: Session) -> None:
    found = standing(session, ["PACS"], NOW)

    assert (found.series, found.deliveries, found.waiting_since) == ({}, {}, {})
    assert (found.quarantine, found.positive, found.negative) == (0, 0, 0)
    assert (found.paused, found.answers) == (frozenset(), {})


def test_what_waits_is_counted_with_its_age(session: Session) -> None:
    deliver_half(session)
    note(session, "10", NOW)
    note(session, "11", LATER)
    record_quarantine(session, "quarantine/x", NOW, reason="no header", calling_ae="CT1")
    pause(session, "VNA", by="somebody", now=NOW)

    found = standing(session, ["PACS", "VNA"], LATER)

    assert found.series == {SeriesState.ENCODED: 1, SeriesState.RECEIVING: 2}
    assert found.waiting_since == {SeriesState.RECEIVING: NOW}
    assert found.deliveries == {("VNA", DeliveryState.PENDING): 1}
    assert found.undelivered_since == {"VNA": NOW}
    assert (found.quarantine, found.paused) == (1, frozenset({"VNA"}))


def test_a_refused_delivery_is_no_longer_under_way(session: Session) -> None:
    deliver_half(session)
    (other,) = claim(session, due(session, "VNA", NOW, 9))
    settle(session, [Settlement(id=other.id, state=DeliveryState.REFUSED, reason="no")], NOW)

    found = standing(session, ["PACS", "VNA"], LATER)

    assert found.deliveries == {("VNA", DeliveryState.REFUSED): 1}
    assert found.undelivered_since == {}


def test_decisions_are_those_of_the_latest_day(session: Session) -> None:
    deliver_half(session)

    assert standing(session, [], LATER).positive == 1
    assert standing(session, [], NOW + 2 * LATEST).positive == 0


def test_an_indeterminate_score_is_a_decision_of_its_own(session: Session) -> None:
    deliver_half(session)
    session.execute(update(Result).values(positive=None))

    found = standing(session, [], LATER)

    assert (found.positive, found.negative, found.indeterminate) == (0, 0, 1)


def test_a_closed_series_waits_since_it_was_closed(session: Session) -> None:
    note(session, "9", NOW)
    close(session, receiving(session)[0], LATER)

    assert standing(session, [], LATER).waiting_since == {SeriesState.STABLE: LATER}
