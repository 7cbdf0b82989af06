"""Notes about superseded results: what they name, and when they are sent."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.schema import Delivery
from storage.database.sessions import Sessions
from storage.delivery.outbox import Settlement, claim, due, keep_results, settle
from storage.delivery.rejections import NOT_ALL_ARRIVED, sent_before
from storage.overview import overview
from storage.results.kept_results import NewObject, NewResult
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, receiving
from storage.states import DeliveryState
from tests.support.databases import migrated_database

pytestmark = pytest.mark.database

NOW = datetime(2026, 3, 1, tzinfo=UTC)
D = DeliveryState


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = migrated_database(tmp_path)
    with Sessions(engine, substitutes=SUBSTITUTES)() as session:
        yield session
    engine.dispose()


def new_object(uid: str, kind: str, only_for: str = "") -> NewObject:
    return NewObject(
        sop_instance_uid=uid,
        kind=kind,
        sop_class_uid="1.2",
        series_instance_uid=f"series of {uid}",
        transfer_syntax_uid="1.2",
        path=uid,
        only_for=only_for,
    )


def keep_revision(
    session: Session, number: int, destinations: Sequence[str], notes_for: Sequence[str] = ()
) -> None:
    """The next result of the series: a report, a segmentation, and notes."""
    facts = InstanceFacts(
        sop_instance_uid=f"slice {number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid="ct",
        study_instance_uid="study",
        transfer_syntax_uid="1.2",
        modality="CT",
        calling_ae="CT1",
        path=f"{number}",
        digest="0",
        bytes=1,
    )
    record_instance(session, facts, NOW + timedelta(minutes=number))
    for series in receiving(session):
        close(session, series, NOW)
    ticket = claim_next(session, NOW)
    assert ticket is not None
    key = f"r{number}"
    result = NewResult(key=key, model="m", score=0.5, positive=True, summary="{}", folder=key)
    objects = [
        new_object(f"{key} report", "report"),
        new_object(f"{key} seg", "segmentation"),
        *(new_object(f"{key} note {name}", "rejection-note", name) for name in notes_for),
    ]
    keep_results(session, ticket, result, objects, destinations=destinations, now=NOW)


def send(session: Session, destination: str, outcome: DeliveryState = D.ACCEPTED) -> list[str]:
    """Send what is due; return what was sent."""
    claimed = claim(session, due(session, destination, NOW, 99))
    at = NOW if outcome in {D.PENDING, D.UNCOMMITTED} else None
    settle(session, [Settlement(id=one.id, state=outcome, next_at=at) for one in claimed], NOW)
    return [one.sop_instance_uid for one in claimed]


def named(session: Session, destination: str) -> list[str]:
    return [item.sop_instance_uid for item in sent_before(session, "ct", destination)]


def test_a_note_is_sent_to_its_destination_alone_once_it_has_the_results(session: Session) -> None:
    keep_revision(session, 1, ["A", "B"])
    assert [send(session, name) for name in ("A", "B")] == [["r1 report", "r1 seg"]] * 2
    keep_revision(session, 2, ["A", "B"], notes_for=["A"])

    assert send(session, "B") == ["r2 report", "r2 seg"]
    assert send(session, "B") == []
    assert send(session, "A", D.PENDING) == ["r2 report", "r2 seg"]
    assert send(session, "A") == ["r2 report", "r2 seg"]
    assert overview(session).series[0].state == "encoded"
    assert send(session, "A") == ["r2 note A"]
    assert overview(session).series[0].state == "delivered"


def test_a_note_waits_until_the_destination_has_committed(session: Session) -> None:
    keep_revision(session, 1, ["A"])
    send(session, "A")
    keep_revision(session, 2, ["A"], notes_for=["A"])
    send(session, "A", D.UNCOMMITTED)
    assert send(session, "A") == []
    session.execute(
        update(Delivery).where(Delivery.state == D.UNCOMMITTED).values(state=D.COMMITTED)
    )
    assert send(session, "A") == ["r2 note A"]


def test_where_new_results_are_refused_nothing_is_rejected(session: Session) -> None:
    keep_revision(session, 1, ["A"])
    send(session, "A")
    keep_revision(session, 2, ["A"], notes_for=["A"])
    send(session, "A", D.REFUSED)

    assert send(session, "A") == []
    (line,) = overview(session).series
    assert line.state == "failed"
    assert NOT_ALL_ARRIVED in line.reason


def test_where_a_declined_object_has_a_substitute_the_note_follows(session: Session) -> None:
    keep_revision(session, 1, ["A"])
    send(session, "A")
    keep_revision(session, 2, ["A"], notes_for=["A"])
    report, segmentation = claim(session, due(session, "A", NOW, 99))
    settle(session, [Settlement(id=report.id, state=D.ACCEPTED)], NOW)
    settle(session, [Settlement(id=segmentation.id, state=D.DECLINED)], NOW)
    (line,) = overview(session).series
    assert line.state in {"failed", "encoded"}  # whether something stands for a segmentation
    assert send(session, "A") == ([] if line.state == "failed" else ["r2 note A"])


def test_a_note_names_what_its_destination_has_and_no_note_has_named(session: Session) -> None:
    keep_revision(session, 1, ["A", "B"])
    send(session, "A")
    send(session, "B", D.REFUSED)
    assert (named(session, "A"), named(session, "B")) == (["r1 report", "r1 seg"], [])

    keep_revision(session, 2, ["A"], notes_for=["A"])
    assert named(session, "A") == ["r1 report", "r1 seg", "r2 report", "r2 seg"]
    send(session, "A")
    send(session, "A")  # the note
    assert named(session, "A") == ["r2 report", "r2 seg"]
