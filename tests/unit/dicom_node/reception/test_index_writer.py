"""Index writer: no row of an instance that was acknowledged is given up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from dicom_node.audit.messages import AuditEvent, Term
from dicom_node.audit.syslog import NullAudit
from dicom_node.health import Health
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.status_codes import OUT_OF_RESOURCES
from dicom_node.reception.index_writer import PAUSE_SECONDS, IndexWriter, _Waiting
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.resources import Resources
from storage.database.schema import Instance
from storage.series.instance_facts import InstanceFacts
from tests.support.node_process import wait_until
from tests.support.reception import kept_files, open_resources

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return open_resources(tmp_path)


def facts(number: int) -> InstanceFacts:
    return InstanceFacts(
        sop_instance_uid=f"1.2.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid="1.3",
        study_instance_uid="1.4",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae="CT1",
        path=f"incoming/{number}",
        digest=f"{number:064}",
        bytes=1,
    )


def rows(resources: Resources) -> set[str]:
    with resources.sessions() as session:
        return set(session.scalars(select(Instance.sop_instance_uid)))


@contextmanager
def failing(fault: Exception) -> Iterator[threading.Event]:
    """Have every flush fail as a driver would, until the event is set."""
    over = threading.Event()

    def fail(*_: object) -> None:
        if not over.is_set():
            raise fault

    event.listen(Session, "before_flush", fail)
    try:
        yield over
    finally:
        event.remove(Session, "before_flush", fail)


FAULTS = [
    OperationalError("insert", None, Exception("locked")),
    DatabaseError("insert", None, Exception("disk image is malformed")),
    RuntimeError("no such thing"),
    MemoryError(),
    BrokenPipeError(32, "Broken pipe"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_rows_follow_when_the_fault_is_over(resources: Resources, fault: Exception) -> None:
    index = IndexWriter(resources.sessions, set_aside_seconds=0.05)
    with failing(fault) as over:
        index.start()
        for number in range(20):
            index.record_instance(facts(number), NOW)
        wait_until(lambda: bool(index._fault or index._set_aside), seconds=20, what="the fault")
        assert rows(resources) == set()
        over.set()
        wait_until(lambda: len(rows(resources)) == 20, seconds=20, what="the rows")
    index.stop()


def test_one_that_the_database_refuses_does_not_take_the_others_with_it(
    resources: Resources,
) -> None:
    health = Health()
    index = IndexWriter(resources.sessions, health=health, set_aside_seconds=0.05)
    refused = threading.Event()

    def refuse(session: Session, *_: object) -> None:
        if not refused.is_set() and any(
            isinstance(row, Instance) and row.sop_instance_uid == "1.2.7" for row in session.new
        ):
            raise IntegrityError("insert", None, Exception("no"))

    event.listen(Session, "before_flush", refuse)
    try:
        for number in range(20):
            index.record_instance(facts(number), NOW)
        index.start()
        wait_until(lambda: len(rows(resources)) == 19, seconds=20, what="the others")
        index.look()
        assert [fault.part for fault in health.snapshot()] == ["index"]
        refused.set()
        wait_until(lambda: len(rows(resources)) == 20, seconds=20, what="the one refused")
        index.look()
        assert health.snapshot() == ()
    finally:
        event.remove(Session, "before_flush", refuse)
        index.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_replaced_and_nothing_is_left_out(resources: Resources) -> None:
    index = IndexWriter(resources.sessions)
    died = threading.Event()

    def die(_: Session) -> None:
        if not died.is_set():
            died.set()
            raise SystemExit

    index.start()
    for number in range(5):
        index.record_instance(facts(number), NOW)
    index.put(die)
    index.record_instance(facts(5), NOW)
    assert died.wait(20)
    wait_until(lambda: not index.is_alive(), seconds=20, what="the end of the thread")
    index.restart()
    wait_until(lambda: len(rows(resources)) == 6, seconds=20, what="all rows")
    index.stop()


def test_instances_are_refused_while_rows_do_not_follow(resources: Resources) -> None:
    now = [0.0]
    health = Health()
    index = IndexWriter(
        resources.sessions, health=health, maximum_delay_seconds=60, steady=lambda: now[0]
    )
    ingest = InstanceIngest(resources, index)

    def keep(number: int) -> int:
        return ingest.keep(
            ReceivedInstance(
                sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                sop_instance_uid=f"1.2.{number}",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                calling_ae="CT1",
                body=[b""],
            )
        )

    index.record_instance(facts(0), NOW)  # nobody writes it: the thread is not started
    now[0] = 61.0
    assert keep(1) == OUT_OF_RESOURCES
    index.look()
    (fault,) = health.snapshot()
    assert not fault.receiving
    assert not kept_files(resources.folder)

    index.start()
    wait_until(lambda: not index.refusal(), seconds=20, what="the row")
    assert keep(1) != OUT_OF_RESOURCES
    index.look()
    assert health.snapshot() == ()
    index.stop()


def test_a_locked_database_delays_rows_and_loses_none(resources: Resources) -> None:
    with resources.sessions() as session:
        session.execute(text("PRAGMA busy_timeout = 50"))
    other = resources.sessions.begin()
    index = IndexWriter(resources.sessions)
    with other as session:
        session.execute(text("SELECT 1"))  # holds the right to write
        index.start()
        for number in range(3):
            index.record_instance(facts(number), NOW)
    wait_until(lambda: len(rows(resources)) == 3, seconds=60, what="the rows")
    index.stop()


@dataclass
class Auditor(NullAudit):
    events: list[AuditEvent] = field(default_factory=list)

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)


def test_a_transfer_is_audited_as_it_begins_and_by_patient(resources: Resources) -> None:
    """PS3.15 A.5.3.3 once a sender and study, or after a pause; A.5.3.7 is about one patient."""
    audit, now = Auditor(), [0.0]
    index = IndexWriter(resources.sessions, audit, steady=lambda: now[0])
    batches = [[(1, "P"), (2, "P"), (3, "Q")], [(4, "P")], [(5, "P")]]
    for seconds, batch in zip((0.0, 60.0, 60.0 + PAUSE_SECONDS + 1), batches, strict=True):
        now[0] = seconds
        arrivals = [(replace(facts(number), patient_id=patient), NOW) for number, patient in batch]
        index._write([_Waiting(arrival, seconds) for arrival in arrivals])

    begun = [one for one in audit.events if one.what is Term.BEGIN_TRANSFERRING]
    assert [list(one.studies) for one in begun] == [["1.4"], ["1.4"]]
    received = [one for one in audit.events if one.what is Term.INSTANCES_TRANSFERRED]
    assert [one.patient_id for one in received] == ["P", "Q", "P", "P"]
    assert sum(sum(one.studies["1.4"].values()) for one in received) == 5
    assert "patient_id" not in repr(facts(1))
