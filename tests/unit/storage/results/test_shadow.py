"""Series that a second model may analyse, and what it found."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from storage.database.engine import open_database
from storage.database.schema import Base, Delivery, Result, Series
from storage.database.self_test_series import mark_as_self_test
from storage.database.watch_tables import ShadowResult
from storage.delivery.outbox import Settlement, claim, due, keep_results, settle
from storage.maintenance.purge import erase_rows
from storage.results.kept_results import NewObject, NewResult
from storage.results.shadow import (
    NewShadow,
    ShadowSeries,
    count_waiting,
    enter_shadow,
    next_for_shadow,
    shadow_pairs,
)
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, receiving, reprocess
from storage.states import DeliveryState
from tests.support.databases import database_url

pytestmark = pytest.mark.database

NOW = datetime(2024, 5, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=7)
SECOND = NewShadow(model="second 1", manifest_sha256="b" * 64, score=0.5, lungs_ml=4000.0)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = open_database(database_url(tmp_path))
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        yield session
    engine.dispose()


def receive(session: Session, series: str) -> None:
    facts = InstanceFacts(
        sop_instance_uid=f"{series}.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=series,
        study_instance_uid=f"{series}.8",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae="CT1",
        path=f"incoming/{series}",
        digest="a",
        bytes=3,
    )
    record_instance(session, facts, NOW)
    close(session, receiving(session)[0], NOW)


def analyse(session: Session, key: str, *, model: str = "m 1", minutes: int = 0) -> None:
    """Claim the series that waits, and keep a result of it, to be sent to one destination."""
    now = NOW + timedelta(minutes=minutes)
    ticket = claim_next(session, now)
    assert ticket is not None
    made = NewObject(
        sop_instance_uid=f"2.25.{key}",
        kind="report",
        sop_class_uid="1",
        series_instance_uid=f"2.26.{key}",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path="p",
    )
    result = NewResult(
        key=key, model=model, score=0.75, positive=True, summary="{}", folder=f"f{key}"
    )
    keep_results(session, ticket, result, [made], destinations=["PACS"], now=now)


def deliver(session: Session, state: DeliveryState = DeliveryState.ACCEPTED) -> None:
    claimed = claim(session, due(session, "PACS", NOW + timedelta(hours=1), 9))
    settle(session, [Settlement(id=one.id, state=state) for one in claimed], NOW)


def delivered(session: Session, series: str, key: str, *, minutes: int = 0) -> None:
    receive(session, series)
    analyse(session, key, minutes=minutes)
    deliver(session)


def chosen(session: Session, since: datetime = LONG_AGO) -> ShadowSeries | None:
    return next_for_shadow(session, SECOND.manifest_sha256, since)


def test_a_series_comes_once_its_results_have_left_the_latest_first(session: Session) -> None:
    receive(session, "9")
    analyse(session, "k9")
    assert chosen(session) is None
    deliver(session)
    delivered(session, "10", "k10", minutes=5)

    first = chosen(session)

    assert first is not None
    assert (first.series_instance_uid, first.result_key, first.folder) == ("10", "k10", "fk10")
    assert [one.path for one in first.instances] == ["incoming/10"]
    assert count_waiting(session, SECOND.manifest_sha256, LONG_AGO) == 2


def test_a_series_whose_results_were_refused_comes_as_well(session: Session) -> None:
    receive(session, "9")
    analyse(session, "k9")
    deliver(session, DeliveryState.REFUSED)

    assert chosen(session) is not None


def test_what_was_seen_is_gone_is_old_or_of_a_self_test_does_not_come(session: Session) -> None:
    for number in ("9", "10", "11"):
        delivered(session, number, f"k{number}")
    seen = chosen(session)
    assert seen is not None
    enter_shadow(session, seen, SECOND, NOW)
    rest = sorted({"9", "10", "11"} - {seen.series_instance_uid})
    session.execute(update(Result).where(Result.key == f"k{rest[0]}").values(purged_at=NOW))
    mark_as_self_test(session, rest[1])
    session.flush()

    assert chosen(session) is None
    assert next_for_shadow(session, "c" * 64, LONG_AGO) == seen
    assert next_for_shadow(session, "c" * 64, NOW + timedelta(hours=1)) is None


def test_a_result_that_is_made_again_of_the_same_images_is_nothing_new(session: Session) -> None:
    delivered(session, "9", "k9")
    seen = chosen(session)
    assert seen is not None
    enter_shadow(session, seen, SECOND, NOW)
    for key, model in (("again", "m 1"), ("other", "m 2")):
        reprocess(session, "9", NOW)
        analyse(session, key, model=model)
        deliver(session)

        assert (chosen(session) is not None) is (model == "m 2")


def test_pairs_are_of_two_models_and_go_with_their_series(session: Session) -> None:
    delivered(session, "9", "k9")
    series = chosen(session)
    assert series is not None
    session.execute(update(Series).values(patient_key="p"))

    assert enter_shadow(session, series, SECOND, NOW)
    assert not enter_shadow(session, series, SECOND, NOW)

    (pair,) = shadow_pairs(session, "m 1", SECOND.manifest_sha256, LONG_AGO)
    assert (pair.series_instance_uid, pair.patient, pair.score) == ("9", "p", 0.75)
    assert pair.second == SECOND
    assert shadow_pairs(session, "m 2", SECOND.manifest_sha256, LONG_AGO) == []
    assert shadow_pairs(session, "m 1", "c" * 64, LONG_AGO) == []
    erase_rows(session, "9")
    assert session.scalars(select(ShadowResult)).all() == []
    assert session.scalars(select(Delivery)).all() == []
    assert not enter_shadow(session, series, SECOND, NOW)
