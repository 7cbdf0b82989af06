"""Refusals are recorded at once, then counted: whatever knocks, nothing fills up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from dicom_node.audit.messages import AuditEvent
from dicom_node.audit.syslog import NullAudit
from dicom_node.clock_watch import utc_now
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.refusals import Refusal, RefusalRecorder
from storage.database.schema import Refusal as Row
from storage.series.quarantine_and_refusals import MAXIMUM_KINDS
from tests.support.reception import open_resources

PROBE = Refusal(
    kind="association_broken", address="10.0.0.9", what="connection", reason="it sent nothing"
)
EVERY = 10  #: seconds between two connections: one a second takes the test ten times as long
WEEK = 7 * 24 * 3600 // EVERY  #: connections


@dataclass
class Memory(NullAudit):
    events: list[AuditEvent] = field(default_factory=list)

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)


def test_a_probe_for_a_week_is_counted_and_fills_nothing(tmp_path: Path) -> None:
    resources = open_resources(tmp_path)
    index, audit, now = IndexWriter(resources.sessions), Memory(), [0.0]
    recorder = RefusalRecorder(index, utc_now, audit, steady=lambda: now[0])
    with capture_logs() as lines:
        for number in range(WEEK):
            now[0] = float(EVERY * number)
            recorder.add(PROBE)
            recorder.look()
        recorder.flush()
    entries = index._entries.qsize()
    index.start()
    index.stop()

    with resources.sessions() as session:
        (row,) = session.scalars(select(Row)).all()
    assert (row.address, row.count) == ("10.0.0.9", WEEK)
    assert sum(line["times"] for line in lines) == WEEK
    assert len(lines) == len(audit.events) == entries < 1100  # one in ten minutes is 1008
    assert {line["host"] for line in lines} == {"10.0.0.9"}


@pytest.mark.database
def test_a_scan_from_ever_new_addresses_is_counted_together(tmp_path: Path) -> None:
    resources = open_resources(tmp_path)
    index = IndexWriter(resources.sessions)
    recorder = RefusalRecorder(index, utc_now)
    with capture_logs() as lines:
        for number in range(3 * MAXIMUM_KINDS):
            recorder.add(replace(PROBE, address=f"10.0.{number}", calling_ae="T\0"))
        recorder.flush()
    index.start()
    index.stop()

    with resources.sessions() as session:
        rows = session.scalars(select(Row)).all()
    assert sum(row.count for row in rows) == 3 * MAXIMUM_KINDS
    assert len(rows) <= MAXIMUM_KINDS + 1
    assert len(lines) <= MAXIMUM_KINDS + 2
    assert all(row.calling_ae.isprintable() for row in rows)


def test_what_stops_and_comes_again_is_recorded_at_once(tmp_path: Path) -> None:
    now = [0.0]
    index = IndexWriter(open_resources(tmp_path).sessions)
    recorder = RefusalRecorder(index, utc_now, steady=lambda: now[0])
    with capture_logs() as lines:
        recorder.add(PROBE)
        now[0] = 11.0
        recorder.look()
        recorder.add(PROBE)
    assert [line["times"] for line in lines] == [1, 1]
