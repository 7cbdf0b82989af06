"""Tests of the status overview of series, deliveries, quarantine and refusals."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_node.cli.views.status import show
from dicom_node.node_status import Disk
from storage.database.engine import open_database
from storage.database.schema import Base, Refusal
from storage.delivery.outbox import Settlement, claim, due, keep_results, settle
from storage.overview import QuarantineLine, RefusalLine, overview
from storage.results.kept_results import NewObject, NewResult
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, receiving
from storage.series.quarantine_and_refusals import (
    MAXIMUM_KINDS,
    RefusalKind,
    record_quarantine,
    record_refusal,
)
from storage.states import DeliveryState, SeriesState
from tests.support.databases import database_url

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


def note(session: Session, series: str, now: datetime, modality: str = "CT") -> None:
    facts = InstanceFacts(
        sop_instance_uid=f"{series}.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=series,
        study_instance_uid="8",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality=modality,
        calling_ae="CT1",
        path=f"incoming/{series}",
        digest="a",
        bytes=3,
    )
    record_instance(session, facts, now)


def deliver_half(session: Session) -> None:
    note(session, "9", NOW)
    close(session, receiving(session)[0], NOW)
    ticket = claim_next(session, NOW)
    assert ticket is not None
    report = NewObject(
        sop_instance_uid="2.25.1",
        kind="report",
        sop_class_uid="1",
        series_instance_uid="2.25.9",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path="p",
    )
    result = NewResult(key="k", model="m", score=0.75, positive=True, summary="{}", folder="f")
    keep_results(session, ticket, result, [report], destinations=["PACS", "VNA"], now=NOW)
    (sent,) = claim(session, due(session, "PACS", NOW, 9))
    settle(session, [Settlement(id=sent.id, state=DeliveryState.ACCEPTED)], NOW)


def test_nothing_yet(session: Session) -> None:
    empty = overview(session)
    assert (empty.states, empty.deliveries, empty.series) == ({}, {}, ())
    assert (empty.quarantine, empty.refusals) == ((), ())


def test_series_with_result_and_deliveries_and_one_without(session: Session) -> None:
    deliver_half(session)
    note(session, "10", LATER)

    shown = overview(session)

    assert shown.states == {SeriesState.ENCODED: 1, SeriesState.RECEIVING: 1}
    half = {DeliveryState.ACCEPTED: 1, DeliveryState.PENDING: 1}
    assert shown.deliveries == half
    new, old = shown.series
    assert (new.series_instance_uid, new.state, new.score) == ("10", SeriesState.RECEIVING, None)
    assert (new.deliveries, new.since) == ({}, LATER)
    assert (old.series_instance_uid, old.score, old.positive) == ("9", 0.75, True)
    assert (old.answer, new.answer) == ("above", "")
    assert (old.deliveries, old.attempts, old.instances) == (half, 1, 1)


def test_lists_are_cut_but_counts_are_not(session: Session) -> None:
    note(session, "9", NOW)
    note(session, "10", LATER)
    shown = overview(session, 1)
    assert [line.series_instance_uid for line in shown.series] == ["10"]
    assert shown.states == {SeriesState.RECEIVING: 2}


def test_refusals_are_counted_and_quarantine_is_listed(session: Session) -> None:
    for at in (NOW, LATER):
        record_refusal(
            session, at, RefusalKind(calling_ae="CT1", what="Secondary Capture", reason="not taken")
        )
        record_quarantine(session, "quarantine/x", at, reason="no header", calling_ae="CT1")

    shown = overview(session)

    refused = RefusalLine(
        calling_ae="CT1",
        address="",
        what="Secondary Capture",
        reason="not taken",
        count=2,
        last_at=LATER,
    )
    assert shown.refusals == (refused,)
    held = QuarantineLine(path="quarantine/x", reason="no header", calling_ae="CT1", at=LATER)
    assert shown.quarantine == (held,)


def test_what_came_over_the_network_does_not_steer_the_terminal(session: Session) -> None:
    note(session, "9", NOW, modality="C\x1b[31m[red]")
    output = StringIO()

    show(
        overview(session),
        Disk(free_gb=3, reserve_gb=2),
        Console(file=output, width=100),
    )

    assert "1 C?[31m[red] instances" in output.getvalue()


def test_what_holds_deliveries_up_is_told_by_destination(session: Session) -> None:
    deliver_half(session)
    (sent,) = claim(session, due(session, "VNA", NOW, 9))
    settle(
        session,
        [Settlement(id=sent.id, state=DeliveryState.REFUSED, reason="[C-STORE] status A900")],
        NOW,
    )

    shown = overview(session)

    (remark,) = shown.series[0].remarks
    assert (remark.destination, remark.count, remark.attempts) == ("VNA", 1, 1)
    assert (remark.state, remark.reason) == (DeliveryState.REFUSED, "[C-STORE] status A900")
    output = StringIO()
    show(shown, Disk(free_gb=3, reserve_gb=2), Console(file=output, width=100))
    assert "A700" not in output.getvalue()
    assert "    VNA: 1 refused: [C-STORE] status A900\n" in output.getvalue()


def test_refusals_of_ever_new_titles_are_counted_together(session: Session) -> None:
    for number in range(MAXIMUM_KINDS + 100):
        at = NOW + timedelta(seconds=number)
        record_refusal(
            session, at, RefusalKind(calling_ae=f"T{number}", what="association", reason="unknown")
        )
    record_refusal(
        session, at, RefusalKind(calling_ae="T299", what="association", reason="unknown")
    )

    rows = {row.calling_ae: row.count for row in session.scalars(select(Refusal))}
    assert len(rows) == MAXIMUM_KINDS + 1
    assert (rows["(others)"], rows["T100"], rows["T299"]) == (100, 1, 2)
    assert sum(rows.values()) == MAXIMUM_KINDS + 101
