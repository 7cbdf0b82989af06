"""Rows follow their files: condensed, known when they come again, and forgotten at last."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from dicom_node.analysis.worker.messages import EncodedObject
from dicom_node.delivery.commitment.request import record_report
from dicom_node.maintenance.retention import ROWS_SECONDS, SERIES_AT_ONCE, RowRetention
from dicom_node.maintenance.stored_data import erase
from dicom_node.resources import Resources
from storage.console.changes import Change, latest_changes, record_change
from storage.console.series_page import series_page
from storage.database.schema import (
    Base,
    Commitment,
    CommitmentItem,
    CondensedInstances,
    Delivery,
    Instance,
    Result,
    ResultObject,
    Series,
)
from storage.delivery.commitments import Report, enter_report, record_request
from storage.delivery.outbox import Settlement, claim, due, settle
from storage.delivery.rejections import sent_before
from storage.maintenance.condensing import condensable, forgettable
from storage.overview import SeriesLine, overview
from storage.results.answers import answers_to
from storage.results.audit_counts import received_of
from storage.results.diagnoses import ScoredSeries
from storage.results.feedback import NewAnswer, NewDocument, enter_feedback
from storage.results.priors import is_own
from storage.series.condensed.entries import pack, unpack
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import kept_paths, record_instance
from storage.series.lifecycle import close, receiving
from storage.series.rerun import mark_for_rerun
from storage.series.search import series_of_uid
from storage.states import DeliveryState, Rerun, SeriesState
from tests.support.dispatcher_samples import NOW, RESULT, Workers, dispatcher, line, open_resources
from tests.unit.dicom_node.maintenance.test_retention import (
    DAY,
    after,
    arrive,
    instance,
    put,
    touch,
)

pytestmark = pytest.mark.database

SERIES, STUDY, PURGED, LATER = "2.25.2", "2.25.3", NOW + 31 * DAY, NOW + 200 * DAY
HEATMAP = [f"2.25.{uuid.UUID(int=(1 << 127) + number).int}" for number in range(5)]


def whole_result() -> object:
    """A result with a heatmap of five images, beside a segmentation and a report."""
    heatmap = tuple(
        EncodedObject(
            kind="heatmap",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
            sop_instance_uid=uid,
            series_instance_uid="2.25.10",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            part10=b"x",
        )
        for uid in HEATMAP
    )
    return replace(RESULT, objects=(*RESULT.objects, *heatmap))


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """A series of two instances, analysed, delivered, and removed for its age."""
    resources = open_resources(tmp_path)
    arrive(resources, "2.25.11", "2.25.12")
    dispatcher(resources, Workers(whole_result())).dispatch()
    touch(resources, "results/k1", NOW)
    deliver_all(resources)
    after(resources, 31).run_once()
    return resources


def deliver_all(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        claimed = claim(session, due(session, "PACS", NOW, 99))
        settle(
            session, [Settlement(id=one.id, state=DeliveryState.ACCEPTED) for one in claimed], NOW
        )


def condense(resources: Resources, *, at: datetime = LATER, days: float = 90) -> None:
    RowRetention(resources=resources, condense=days * DAY).run_once(at)


def count(resources: Resources, table: type[Base]) -> int:
    with resources.sessions() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def come(resources: Resources, facts: InstanceFacts, *, at: datetime = LATER) -> SeriesLine:
    """An instance comes, or comes again."""
    put(resources, facts.path, at)
    with resources.sessions.begin() as session:
        record_instance(session, facts, at)
    return line(resources)


def test_rows_are_condensed_and_what_is_said_of_the_series_stays(resources: Resources) -> None:
    with resources.sessions() as session:
        before = overview(session), received_of(session, [SERIES])
        page, sent = series_page(session, SERIES), sent_before(session, SERIES, "PACS")

    with capture_logs() as logged:
        condense(resources)

    assert [(one["series"], one["instances"], one["objects"]) for one in logged] == [(1, 2, 4)]
    assert (count(resources, Instance), count(resources, CondensedInstances)) == (0, 1)
    assert (count(resources, ResultObject), count(resources, Delivery)) == (3, 3)
    with resources.sessions() as session:
        now = overview(session), received_of(session, [SERIES])
        assert now[0].series == before[0].series
        assert now[0].series[0].deliveries == {DeliveryState.ACCEPTED: 7}
        assert now[1] == before[1] == {STUDY: {instance("x").sop_class_uid: 2}}
        assert series_page(session, SERIES) == page
        assert page is not None
        assert page.purged
        assert sent_before(session, SERIES, "PACS") == sent
        assert {one.sop_instance_uid for one in sent} >= set(HEATMAP)
        assert is_own(session, "2.25.10", [])
        assert condensable(session, LATER, 1) == []


def test_nothing_is_condensed_before_its_time_nor_where_that_is_switched_off(
    resources: Resources,
) -> None:
    condense(resources, at=PURGED + 89 * DAY)
    RowRetention(resources=resources).run_once(LATER)
    assert count(resources, Instance) == 2
    condense(resources, at=PURGED + 91 * DAY)
    assert count(resources, Instance) == 0


def test_a_condensed_series_without_results_can_be_erased(tmp_path: Path) -> None:
    resources = open_resources(tmp_path)
    arrive(resources, "2.25.11", "2.25.12")
    with resources.sessions.begin() as session:
        session.execute(update(Series).values(state=SeriesState.UNSUITABLE, since=NOW))
    after(resources, 31).run_once()
    condense(resources)
    assert (count(resources, Instance), count(resources, Result)) == (0, 0)

    erase(resources, [SERIES])

    assert (count(resources, Series), count(resources, CondensedInstances)) == (0, 0)


def test_the_job_of_retention_condenses(resources: Resources) -> None:
    after(resources, 200, condense=90 * DAY).run_once()
    assert count(resources, Instance) == 0


def request_rerun(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        mark_for_rerun(session, SERIES, Rerun.REPROCESS)


def set_values(table: type[Series | Delivery], **values: object) -> Callable[[Resources], None]:
    def change(resources: Resources) -> None:
        with resources.sessions.begin() as session:
            session.execute(update(table).values(**values))

    return change


def keep_one(resources: Resources) -> None:
    come(resources, instance("2.25.11"))


def result_is_kept(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        session.execute(update(Result).values(purged_at=None))


@pytest.mark.parametrize(
    "change",
    [
        request_rerun,
        keep_one,
        result_is_kept,
        set_values(Series, purging=True),
        set_values(Series, of_documents=True),
        set_values(Series, state=SeriesState.RECEIVING),
        set_values(Delivery, state=DeliveryState.UNCOMMITTED),
    ],
    ids=["rerun", "file", "result", "purging", "documents", "state", "delivery"],
)
def test_what_has_not_ended_or_has_files_keeps_its_rows(
    resources: Resources, change: Callable[[Resources], None]
) -> None:
    change(resources)
    condense(resources)
    assert count(resources, Instance) == 2
    assert count(resources, Delivery) == 7


def test_the_same_bytes_again_are_kept_and_change_nothing(resources: Resources) -> None:
    before = line(resources)
    condense(resources)

    now = come(resources, instance("2.25.11"))

    assert replace(now, last_at=before.last_at) == before
    assert now.last_at == LATER, "it is kept as long as what came then"
    assert count(resources, Instance) == 1
    assert resources.folder.locate(instance("2.25.11").path).exists()
    with resources.sessions() as session:
        assert list(kept_paths(session, ["2.25.11", "2.25.12"])) == [
            ("2.25.11", instance("x").sop_class_uid)
        ]
        assert received_of(session, [SERIES]) == {STUDY: {instance("x").sop_class_uid: 2}}
    assert come(resources, instance("2.25.11")) == now, "nor does it a third time"

    after(resources, 240).run_once()
    condense(resources, at=NOW + 400 * DAY)

    assert count(resources, Instance) == 0
    assert line(resources).instances == 2
    with resources.sessions() as session:
        assert received_of(session, [SERIES]) == {STUDY: {instance("x").sop_class_uid: 2}}


def test_a_whole_series_that_comes_again_is_kept_once_and_stays_delivered(
    resources: Resources,
) -> None:
    condense(resources)
    for uid in ("2.25.11", "2.25.12"):
        come(resources, instance(uid))
    assert (line(resources).state, line(resources).generation) == (SeriesState.DELIVERED, 1)
    assert (line(resources).instances, count(resources, Instance)) == (2, 2)
    assert count(resources, CondensedInstances) == 0


def test_a_new_instance_reopens_the_series_which_says_what_is_gone(resources: Resources) -> None:
    condense(resources)

    now = come(resources, instance("2.25.13"))

    assert (now.state, now.generation, now.instances) == (SeriesState.RECEIVING, 2, 3)
    with resources.sessions.begin() as session:
        for quiet in receiving(session):
            close(session, quiet, LATER)
    dispatcher(resources, Workers(), wanted="no").dispatch()
    assert line(resources).reason.startswith("instances-removed: 2 of its 3")


def test_other_bytes_of_an_instance_supersede_it_and_reopen_the_series(
    resources: Resources,
) -> None:
    condense(resources)
    other = replace(instance("2.25.11"), digest="1" * 64, path="incoming/00/other.dcm")

    now = come(resources, other)

    assert (now.state, now.generation, now.instances) == (SeriesState.RECEIVING, 2, 2)
    with resources.sessions() as session:
        assert session.scalars(select(CondensedInstances.count)).all() == [1]


def test_of_a_superseded_version_nothing_is_kept(tmp_path: Path) -> None:
    resources = open_resources(tmp_path)
    arrive(resources, "2.25.11")
    other = replace(instance("2.25.11"), digest="1" * 64, path="incoming/00/other.dcm")
    come(resources, other, at=NOW + timedelta(minutes=1))
    with resources.sessions.begin() as session:
        session.execute(update(Series).values(state=SeriesState.UNSUITABLE, since=NOW))
    after(resources, 31).run_once()
    condense(resources)
    assert count(resources, Instance) == 0
    with resources.sessions() as session:
        assert session.scalars(select(CondensedInstances.count)).all() == [1]
    assert come(resources, other).state is SeriesState.UNSUITABLE
    assert come(resources, instance("2.25.11")).state is SeriesState.RECEIVING


def test_a_late_answer_to_a_request_for_commitment_is_of_no_request(tmp_path: Path) -> None:
    resources = open_resources(tmp_path)
    arrive(resources, "2.25.11", "2.25.12")
    dispatcher(resources, Workers(whole_result())).dispatch()
    touch(resources, "results/k1", NOW)
    with resources.sessions.begin() as session:
        claimed = claim(session, due(session, "PACS", NOW, 99))
        state = DeliveryState.UNCOMMITTED
        settle(session, [Settlement(id=one.id, state=state, next_at=NOW) for one in claimed], NOW)
        for uid, chosen in (("1.2.1", HEATMAP[1:]), ("1.2.2", ["2.25.100", *HEATMAP])):
            session.execute(update(Delivery).values(next_at=LATER))
            session.execute(
                update(Delivery)
                .where(Delivery.sop_instance_uid.in_(chosen))
                .values(next_at=NOW - timedelta(seconds=1))
            )
            record_request(
                session, "PACS", NOW, transaction_uid=uid, again_at=NOW, longest_wait=400 * DAY
            )
        session.execute(update(Delivery).values(state=DeliveryState.ACCEPTED))
        session.execute(update(Series).values(state=SeriesState.DELIVERED))
    after(resources, 31).run_once()
    condense(resources)
    assert (count(resources, Commitment), count(resources, CommitmentItem)) == (1, 1)
    with resources.sessions.begin() as session:
        gone = Report(transaction_uid="1.2.1", committed=set(HEATMAP))
        assert enter_report(session, gone, LATER, tries=3) is None
    left = Report(
        transaction_uid="1.2.2", committed={"2.25.100"}, failed=dict.fromkeys(HEATMAP, 0x0112)
    )
    with capture_logs() as logged:
        record_report(left, resources)
    assert [one["objects"] for one in logged if one["event"] == "commitment_ignored"] == [5]
    with resources.sessions() as session:
        states = select(Delivery.sop_instance_uid, Delivery.state)
        by_uid = dict(session.execute(states).all())
    assert by_uid["2.25.100"] is DeliveryState.COMMITTED
    assert by_uid[HEATMAP[0]] is DeliveryState.ACCEPTED, "it stands for the others as well"


def test_objects_whose_deliveries_ended_for_other_reasons_keep_rows_of_their_own(
    resources: Resources,
) -> None:
    with resources.sessions.begin() as session:
        session.execute(
            update(Delivery)
            .where(Delivery.sop_instance_uid.in_(HEATMAP[3:]))
            .values(reason="no answer to 4 requests for storage commitment")
        )
    condense(resources)
    assert count(resources, ResultObject) == 4


def test_what_somebody_else_changes_is_not_waited_for(
    resources: Resources, database_kind: str
) -> None:
    if database_kind == "sqlite":
        pytest.skip("has one writer at a time")
    with resources.sessions.begin() as other:
        delivery = select(Delivery.id).where(Delivery.sop_instance_uid == HEATMAP[1])
        other.execute(delivery.with_for_update()).all()
        condense(resources)
        RowRetention(resources=resources, keep_series=DAY).run_once(LATER)
        assert (count(resources, Instance), count(resources, Series)) == (2, 1)


def test_what_an_answer_names_is_not_condensed_while_that_is_entered(
    resources: Resources, database_kind: str
) -> None:
    if database_kind == "sqlite":
        pytest.skip("has one writer at a time")
    end_series(resources, 1)
    said = NewDocument(
        document_uid="1.2.1", answers=(NewAnswer(answer="accepted", subjects=("2.25.11",)),)
    )
    with resources.sessions.begin() as session, resources.sessions.begin() as other:
        enter_feedback(session, DOCUMENTS, [said], LATER)
        series = select(Series.series_instance_uid).with_for_update(skip_locked=True)
        assert SERIES not in other.scalars(series).all()


IMAGES = ScoredSeries(
    series_instance_uid=SERIES, study_instance_uid=STUDY, result_key="", positive=True
)
DOCUMENTS = replace(IMAGES, series_instance_uid="8.0")


def answer(
    resources: Resources, document: str, *subjects: str, source: ScoredSeries = IMAGES
) -> None:
    said = NewDocument(
        document_uid=document, answers=(NewAnswer(answer="accepted", subjects=subjects),)
    )
    with resources.sessions.begin() as session:
        enter_feedback(session, source, [said], LATER)


def test_what_a_reader_has_answered_to_stays_and_what_is_named_later_is_found(
    resources: Resources,
) -> None:
    answer(resources, "1.2.1", "2.25.11", HEATMAP[1])
    condense(resources)
    answer(resources, "1.2.2", "2.25.12", HEATMAP[2])
    answer(resources, "1.2.3", "2.25.999")

    with resources.sessions() as session:
        found = [(one.document_uid, one.result_key) for one in answers_to(session, [SERIES])]
    assert sorted(found) == [("1.2.1", ""), ("1.2.1", "k1"), ("1.2.2", ""), ("1.2.2", "k1")]


def test_nothing_is_unpacked_for_an_answer_to_series(resources: Resources) -> None:
    condense(resources)
    with resources.sessions.begin() as session:
        session.execute(update(CondensedInstances).values(entries=b"cannot be unpacked"))
    answer(resources, "1.2.1", SERIES, "2.25.10")
    with resources.sessions() as session:
        assert len(answers_to(session, [SERIES])) == 2


def test_erasure_removes_what_was_condensed_and_tells_of_all(resources: Resources) -> None:
    condense(resources)
    erase(resources, [SERIES])
    tables = (Series, CondensedInstances, Result, ResultObject, Delivery)
    assert [count(resources, table) for table in tables] == [0] * len(tables)


def test_a_condensed_instance_is_not_found_by_its_uid_but_by_its_series(
    resources: Resources,
) -> None:
    condense(resources)
    with resources.sessions() as session:
        assert series_of_uid(session, "2.25.11") == []
        assert series_of_uid(session, SERIES) == [SERIES]
        assert kept_paths(session, ["2.25.11"]) == {}, "so no commitment is given"


def test_a_run_ends_when_its_time_is_over_and_the_next_goes_on(resources: Resources) -> None:
    times = iter([0.0, ROWS_SECONDS, 0.0, 0.0])
    job = RowRetention(resources=resources, condense=90 * DAY, steady=lambda: next(times))
    job.run_once(LATER)
    assert count(resources, Instance) == 2
    job.run_once(LATER)
    assert count(resources, Instance) == 0


def test_forgetting_has_a_time_of_its_own(resources: Resources) -> None:
    times = iter([0.0, ROWS_SECONDS, ROWS_SECONDS, ROWS_SECONDS])
    job = RowRetention(
        resources=resources, condense=DAY, keep_series=DAY, steady=lambda: next(times)
    )
    job.run_once(LATER)
    assert count(resources, Series) == 0


def name_all(resources: Resources) -> None:
    answer(resources, "1.2.1", "2.25.11", "2.25.12")


@pytest.mark.parametrize(
    "change",
    [set_values(Series, of_documents=True), result_is_kept, request_rerun, name_all],
    ids=["documents", "result", "rerun", "answer"],
)
def test_what_cannot_be_condensed_is_not_listed(
    resources: Resources, change: Callable[[Resources], None]
) -> None:
    with resources.sessions() as session:
        assert [one.series_instance_uid for one in condensable(session, LATER, 1)] == [SERIES]
    change(resources)
    with resources.sessions() as session:
        assert condensable(session, LATER, 1) == []


def test_lists_go_on_after_a_place(resources: Resources) -> None:
    end_series(resources, 3)
    with resources.sessions() as session:
        for listing in (condensable, forgettable):
            whole = listing(session, LATER, 9)
            assert {one.series_instance_uid for one in whole} >= {"8.0", "8.1", "8.2"}
            assert listing(session, LATER, 9, after=whole[1]) == whole[2:]
            assert listing(session, LATER, 1, after=whole[1]) == whole[2:3]


def test_series_of_long_ago_are_forgotten_and_new_when_they_come_again(
    resources: Resources,
) -> None:
    condense(resources)
    job = RowRetention(resources=resources, keep_series=365 * DAY)
    job.run_once(NOW + 364 * DAY)
    assert count(resources, Series) == 1
    with capture_logs() as logged:
        job.run_once(NOW + 366 * DAY)
    assert [one["series"] for one in logged] == [1]
    tables = (Series, CondensedInstances, Result, ResultObject, Delivery)
    assert [count(resources, table) for table in tables] == [0] * len(tables)

    now = come(resources, instance("2.25.11"))

    assert (now.state, now.generation, now.instances) == (SeriesState.RECEIVING, 1, 1)


@pytest.mark.parametrize(
    "change",
    [
        request_rerun,
        keep_one,
        result_is_kept,
        set_values(Series, purging=True),
        set_values(Series, state=SeriesState.RECEIVING),
        set_values(Series, last_at=NOW + 300 * DAY),
        set_values(Series, since=NOW + 300 * DAY),
        set_values(Delivery, state=DeliveryState.UNCOMMITTED),
    ],
    ids=["rerun", "file", "result", "purging", "state", "late", "ended", "delivery"],
)
def test_what_has_not_ended_or_has_files_is_not_forgotten(
    resources: Resources, change: Callable[[Resources], None]
) -> None:
    change(resources)
    RowRetention(resources=resources, keep_series=365 * DAY).run_once(NOW + 400 * DAY)
    assert count(resources, Series) == 1


def end_series(resources: Resources, number: int) -> None:
    """Series of one instance each that ended, and of which the files are gone."""
    with resources.sessions.begin() as session:
        for one in range(number):
            facts = replace(
                instance("x"), sop_instance_uid=f"9.{one}", series_instance_uid=f"8.{one}",
                path=f"incoming/00/{one}.dcm",
            )  # fmt: skip
            record_instance(session, facts, NOW)
        session.execute(update(Series).values(state=SeriesState.UNSUITABLE))
        session.execute(update(Instance).values(purged_at=NOW))


def test_more_series_are_forgotten_than_one_transaction_takes(resources: Resources) -> None:
    end_series(resources, SERIES_AT_ONCE + 5)
    RowRetention(resources=resources, keep_series=365 * DAY).run_once(NOW + 400 * DAY)
    assert count(resources, Series) == 0


@pytest.mark.parametrize("subject", [SERIES, "2.25.10", HEATMAP[0], "2.25.11"])
def test_a_document_is_forgotten_after_what_it_names(resources: Resources, subject: str) -> None:
    end_series(resources, 1)
    answer(resources, "1.2.1", subject, source=DOCUMENTS)
    with resources.sessions() as session:
        due = forgettable(session, LATER, 9)
    assert [one.series_instance_uid for one in due] == [SERIES]
    for left in (1, 0):
        RowRetention(resources=resources, keep_series=DAY).run_once(LATER)
        assert count(resources, Series) == left


def test_changes_of_long_ago_are_forgotten(resources: Resources) -> None:
    with resources.sessions.begin() as session:
        for days in (1, 20):
            record_change(
                session, Change(at=NOW + days * DAY, user="a", action="login", subject=str(days))
            )
    RowRetention(resources=resources, keep_changes=10 * DAY).run_once(NOW + 21 * DAY)
    with resources.sessions() as session:
        assert [change.subject for change in latest_changes(session, 9)] == ["20"]


def test_entries_that_are_not_whole_are_refused() -> None:
    assert unpack(pack({b"u" * 8: b"c" * 16})) == {b"u" * 8: b"c" * 16}
    with pytest.raises(ValueError, match="entries of 24 bytes, got 25 bytes"):
        unpack(bytes(25))
