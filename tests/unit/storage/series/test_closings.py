"""Closings and notifications are kept, within bounds, and summed up by sender."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from storage.database.schema import Notification, NotifiedSeries
from storage.series import notifications
from storage.series.closings import SOON, record_closing, too_early, waits
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, leave, receiving
from storage.series.notifications import (
    KEEP,
    Notice,
    NotificationKind,
    NotificationState,
    TooManyNamed,
    forget_old,
    keep_notice,
    named_instances,
    notification,
)
from storage.states import SeriesState
from tests.support.databases import migrated_database

pytestmark = pytest.mark.database
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine: Engine = migrated_database(tmp_path)
    with Session(engine) as session:
        yield session
    engine.dispose()


def receive(
    session: Session, series: str, uid: str, at: datetime, ae: str = "CT1", *, digest: str = ""
) -> None:
    facts = InstanceFacts(
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=series,
        study_instance_uid="8",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae=ae,
        path=f"incoming/{digest or uid}",
        digest=digest or uid,
        bytes=1,
    )
    record_instance(session, facts, at)


def end(session: Session, proof: str, waited: float) -> None:
    for series in receiving(session):
        close(session, series, NOW)
        record_closing(session, series, proof, waited, NOW)


def test_waits_are_summed_up_by_sender(session: Session) -> None:
    for number in range(20):
        receive(session, f"1.{number}", f"1.{number}.1", NOW)
        end(session, "regular-stack" if number else "quiet", 60 if not number else 5 + number)
    receive(session, "2.1", "2.1.1", NOW, "ROUTER")
    end(session, "procedure-step", 1)

    first, second = waits(session, NOW - timedelta(days=1))

    assert (first.calling_ae, first.series) == ("CT1", 20)
    assert (first.median_seconds, first.p95_seconds) == (15, 24)
    assert first.closed_by == {"regular-stack": 19, "quiet": 1}
    assert first.too_early == {}
    assert (second.calling_ae, second.median_seconds, second.p95_seconds) == ("ROUTER", 1, 1)
    assert waits(session, NOW + timedelta(seconds=1)) == []


@pytest.mark.parametrize(("later", "expected"), [(SOON, True), (SOON * 2, False)])
def test_an_instance_soon_after_a_closing_says_that_it_was_too_early(
    session: Session, later: timedelta, expected: bool
) -> None:
    receive(session, "9", "9.1", NOW)
    end(session, "regular-stack", 5)
    receive(session, "9", "9.1", NOW + timedelta(seconds=1))  # the same again
    assert too_early(session, NOW) == frozenset()

    receive(session, "9", "9.2", NOW + later)
    receive(session, "9", "9.3", NOW + later * 3)

    wrong = {("CT1", "regular-stack")} if expected else set()
    assert too_early(session, NOW) == wrong
    (line,) = waits(session, NOW)
    assert line.too_early == ({"regular-stack": 1} if expected else {})


def test_late_is_when_the_instance_came_and_not_when_the_analysis_ended(session: Session) -> None:
    receive(session, "9", "9.1", NOW)
    end(session, "regular-stack", 5)
    ticket = claim_next(session, NOW)
    assert ticket is not None
    receive(session, "9", "9.2", NOW + timedelta(seconds=2))
    receive(session, "9", "9.3", NOW + SOON * 2)
    leave(session, ticket, NOW + SOON * 3, new=SeriesState.ENCODED)
    assert too_early(session, NOW) == {("CT1", "regular-stack")}


def test_an_instance_sent_anew_with_other_bytes_says_nothing_of_the_closing(
    session: Session,
) -> None:
    receive(session, "9", "9.1", NOW)
    end(session, "regular-stack", 5)
    receive(session, "9", "9.1", NOW + timedelta(seconds=2), digest="corrected")
    assert [series.generation for series in receiving(session)] == [2]
    assert too_early(session, NOW) == frozenset()


NOTICE = Notice(
    sop_instance_uid="5",
    kind=NotificationKind.PROCEDURE_STEP,
    state=NotificationState.IN_PROGRESS,
    calling_ae="CT1",
    series={"9": ["9.1", "9.2"]},
)


def count(session: Session, table: type[Notification | NotifiedSeries]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def test_notifications_are_kept_for_a_week(session: Session) -> None:
    keep_notice(session, NOTICE, NOW)
    keep_notice(session, replace(NOTICE, sop_instance_uid="6", series=None), NOW + KEEP)
    assert named_instances(session, "9") != ()
    keep_notice(session, replace(NOTICE, sop_instance_uid="7", series={}), NOW + KEEP * 1.1)
    assert named_instances(session, "9") == ()
    assert notification(session, "5") is None
    assert count(session, NotifiedSeries) == 0


def test_a_week_ends_without_a_further_notification(session: Session) -> None:
    keep_notice(session, NOTICE, NOW)
    forget_old(session, NOW + KEEP)
    assert named_instances(session, "9") != ()
    forget_old(session, NOW + KEEP * 1.1)
    assert (count(session, Notification), count(session, NotifiedSeries)) == (0, 0)


def test_a_sender_makes_room_for_itself_and_not_by_a_change(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "MAXIMUM_OF_SENDER", 3)
    keep_notice(session, replace(NOTICE, calling_ae="CT2", sop_instance_uid="4"), NOW)
    for number in range(10, 15):
        at = NOW + timedelta(seconds=number)
        keep_notice(session, replace(NOTICE, sop_instance_uid=str(number)), at)
    keep_notice(session, replace(NOTICE, sop_instance_uid="12"), NOW + timedelta(seconds=20))
    kept = ("4", "12", "13", "14")
    assert count(session, Notification) == len(kept)
    assert all(notification(session, uid) for uid in kept)


def naming(uid: str, series: str, number: int) -> Notice:
    return replace(NOTICE, sop_instance_uid=uid, series={series: [f"1.{n}" for n in range(number)]})


def test_named_instances_make_room_those_of_closed_series_first(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "MAXIMUM_NAMED", 10)
    for series in ("21", "23"):
        receive(session, series, f"{series}.1", NOW)
    closed = next(one for one in receiving(session) if one.series_instance_uid == "23")
    close(session, closed, NOW)
    for number, series in enumerate(("21", "22", "23")):  # open, not come yet, closed
        at = NOW + timedelta(seconds=number)
        keep_notice(session, naming(f"5.{series}", series, 3), at)

    def known() -> list[str]:
        return [uid for uid in ("21", "22", "23", "24") if named_instances(session, uid)]

    keep_notice(session, naming("6", "24", 3), NOW + timedelta(minutes=1))
    assert known() == ["21", "22", "24"]
    keep_notice(session, naming("6", "24", 5), NOW + timedelta(minutes=2))  # itself makes room
    assert known() == ["22", "24"]
    keep_notice(session, naming("6", "24", 10), NOW + timedelta(minutes=3))
    assert known() == ["24"]
    with pytest.raises(TooManyNamed):
        keep_notice(session, naming("7", "24", 11), NOW)
