"""Samples, findings and references of scanners; what is held, and what is let go."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from storage.console.node_pages import held_deliveries, queue
from storage.database.engine import open_database
from storage.database.schema import Base
from storage.database.watch_tables import DriftFinding, DriftSample, SeriesEquipment
from storage.delivery.outbox import due, keep_results
from storage.maintenance.purge import erase_rows
from storage.results.drift import (
    MOST_FINDINGS,
    Sample,
    accept,
    enter_finding,
    enter_news,
    enter_sample,
    equipment_of,
    fill_in_equipment,
    has_samples,
    judged_equipment,
    open_findings,
    open_findings_by_action,
    samples_of,
    scanners_after,
    scanners_seen,
    series_without_equipment,
)
from storage.results.kept_results import NewObject, NewResult
from storage.series.instance_facts import EquipmentFacts, InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, receiving
from tests.support.databases import database_url

pytestmark = pytest.mark.database

NOW = datetime(2024, 5, 1, tzinfo=UTC)
CT1 = EquipmentFacts(
    manufacturer="Maker", model="One", station="CT1", kernel="B70f", software="1.0"
)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = open_database(database_url(tmp_path))
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        yield session
    engine.dispose()


def note(
    session: Session,
    series: str,
    said: EquipmentFacts = CT1,
    *,
    minutes: int = 0,
    document: bool = False,
) -> None:
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
        is_document=document,
        equipment=said,
    )
    record_instance(session, facts, NOW + timedelta(minutes=minutes))


def scored(score: float) -> Sample:
    return Sample(basis="m", figures={"score": score})


def analysed(session: Session, series: str) -> None:
    """Close, claim and end a series, with one object to be sent."""
    close(session, next(one for one in receiving(session)), NOW)
    ticket = claim_next(session, NOW)
    assert ticket is not None
    made = NewObject(
        sop_instance_uid=f"2.25.{series}",
        kind="report",
        sop_class_uid="1",
        series_instance_uid=f"2.26.{series}",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path="p",
    )
    result = NewResult(
        key=f"k{series}", model="m", score=0.75, positive=True, summary="{}", folder=f"f{series}"
    )
    keep_results(session, ticket, result, [made], destinations=["PACS"], now=NOW)


def test_what_made_a_series_is_kept_with_its_first_image_and_goes_with_it(
    session: Session,
) -> None:
    note(session, "9")
    note(session, "10", document=True)

    assert equipment_of(session, "9") == CT1
    assert session.get_one(SeriesEquipment, "9").scanner == "Maker One CT1"
    assert equipment_of(session, "10") is None
    enter_sample(session, "9", CT1, scored(0.5), NOW)
    erase_rows(session, "9")
    assert session.scalars(select(DriftSample)).all() == []


def test_what_older_series_were_made_with_is_filled_in(session: Session) -> None:
    note(session, "9")
    session.execute(delete(SeriesEquipment))
    session.expire_all()
    assert series_without_equipment(session, 9) == [("9", "incoming/9")]

    fill_in_equipment(session, {"9": CT1, "unknown": CT1})

    assert equipment_of(session, "9") == CT1
    assert series_without_equipment(session, 9) == []


def test_only_series_that_were_judged_before_count_as_known(session: Session) -> None:
    note(session, "9")
    analysed(session, "9")
    note(session, "10", replace(CT1, kernel="B31f"))
    enter_sample(session, "10", replace(CT1, kernel="B31f"), Sample(figures={}), NOW)
    note(session, "11", replace(CT1, kernel="C"))  # it has merely arrived
    note(session, "12", replace(CT1, station="CT2"))

    scanner = CT1.scanner
    assert sorted(judged_equipment(session, scanner, "11")) == [("B31f", "1.0"), ("B70f", "1.0")]
    assert judged_equipment(session, scanner, "9") == [("B31f", "1.0")]  # its own is just made
    assert judged_equipment(session, "Maker One CT2", "13") == []


def test_the_first_outcome_of_a_series_counts(session: Session) -> None:
    note(session, "9")

    assert enter_sample(session, "9", CT1, scored(0.5), NOW)
    assert not enter_sample(session, "9", CT1, scored(0.9), NOW)
    assert samples_of(session, "Maker One CT1", 1, 9) == ([scored(0.5)], [])


def test_a_scanner_is_compared_with_its_first_series_until_that_is_begun_anew(
    session: Session,
) -> None:
    for number in range(1, 6):
        note(session, f"9.{number}")
        enter_sample(session, f"9.{number}", CT1, scored(number), NOW)
    scanner = CT1.scanner
    first, after = samples_of(session, scanner, 2, 2)
    assert (first, after) == ([scored(1), scored(2)], [scored(4), scored(5)])

    assert accept(session, scanner, "somebody", NOW) == 0

    assert samples_of(session, scanner, 2, 2) == ([], [])
    note(session, "9.6")
    enter_sample(session, "9.6", CT1, scored(6), NOW)
    assert samples_of(session, scanner, 1, 2) == ([scored(6)], [])
    (seen,) = scanners_seen(session)
    assert (seen.scanner, seen.samples) == (scanner, 1)


def test_only_scanners_with_new_samples_are_looked_at(session: Session) -> None:
    note(session, "9")
    enter_sample(session, "9", CT1, scored(1), NOW)
    scanners, latest = scanners_after(session, 0)
    assert scanners == [CT1.scanner]
    assert scanners_after(session, latest) == ([], latest)
    other = replace(CT1, station="CT2")
    note(session, "10", other)
    enter_sample(session, "10", other, scored(1), NOW)
    assert scanners_after(session, latest)[0] == [other.scanner]
    assert has_samples(session, CT1.scanner)
    assert not has_samples(session, "other")


def test_a_finding_is_entered_once_until_it_is_accepted(session: Session) -> None:
    finding = (CT1.scanner, "noise_hu", "noise: 10 before, 20 now", "note", NOW)
    assert enter_finding(session, *finding)
    assert not enter_finding(session, *finding)
    assert enter_finding(session, "other", *finding[1:])

    assert accept(session, CT1.scanner, "somebody", NOW) == 1

    assert [one.scanner for one in open_findings(session)] == ["other"]
    assert enter_finding(session, *finding)


def test_news_that_was_accepted_is_never_entered_again(session: Session) -> None:
    news = (CT1.scanner, "new kernel: B31f", "note", NOW)
    assert enter_news(session, *news)
    accept(session, CT1.scanner, "somebody", NOW)

    assert not enter_news(session, *news)


def test_of_what_was_accepted_the_oldest_goes(session: Session) -> None:
    old = DriftFinding(
        scanner="old", what="noise_hu", text="", at=NOW, action="note", ended_at=NOW, ended_by="x"
    )
    session.add(old)
    session.flush()
    session.add_all(
        DriftFinding(
            scanner="s", what="w", text="", at=NOW, action="note", ended_at=NOW, ended_by="x"
        )
        for _ in range(MOST_FINDINGS)
    )
    session.flush()

    enter_finding(session, "open", "noise_hu", "", "tell", NOW)

    assert session.scalar(select(func.count()).select_from(DriftFinding)) == MOST_FINDINGS + 1
    assert session.get(DriftFinding, old.id, populate_existing=True) is None
    assert open_findings_by_action(session) == {"tell": 1}


def test_results_of_a_scanner_that_is_held_wait_and_its_series_only_where_it_is_stopped(
    session: Session,
) -> None:
    note(session, "9")
    analysed(session, "9")
    note(session, "10", replace(CT1, station="CT2"))
    analysed(session, "10")

    def waiting() -> list[str]:
        return sorted(one.sop_instance_uid for one in due(session, "PACS", NOW, 9))

    def found(what: str, action: str) -> None:
        enter_finding(session, CT1.scanner, what, "", action, NOW)

    found("noise_hu", "note")
    assert waiting() == ["2.25.10", "2.25.9"]
    assert held_deliveries(session, "PACS") == 0
    found("air_hu", "hold")
    assert waiting() == ["2.25.10"]
    assert held_deliveries(session, "PACS") == 1
    note(session, "11")
    close(session, receiving(session)[0], NOW)
    assert [one.held for one in queue(session, None)] == [False]
    found("score", "stop")
    assert claim_next(session, NOW) is None
    assert [one.held for one in queue(session, None)] == [True]
    assert waiting() == ["2.25.10"]
    accept(session, CT1.scanner, "somebody", NOW)
    found("noise_hu", "hold")
    ticket = claim_next(session, NOW)
    assert ticket is not None
    assert ticket.series_instance_uid == "11"
    accept(session, CT1.scanner, "somebody", NOW)
    assert waiting() == ["2.25.10", "2.25.9"]
