"""Queries of the console find what they want by indexes, whatever the number of series."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from storage.console.changes import latest_changes
from storage.console.node_pages import backlog, held_deliveries, queue, sender_lines, waited_for
from storage.console.scores import (
    cases_of,
    kernels,
    scanners,
    stored_scores,
)
from storage.console.series_page import kept_images, one_image_each, series_page
from storage.console.users import find_session, list_sessions
from storage.console.worklist import Filter, senders, tiles, worklist
from storage.database.schema import Series
from storage.database.sessions import Session
from storage.maintenance.consistency import nothing_to_send
from storage.overview import waiting_remarks
from storage.results.answers import (
    answer_counts,
    answers_in,
    answers_since,
    answers_to,
    assessed_results,
)
from storage.results.diagnoses import ScoredSeries, scored_series
from storage.results.feedback import NewAnswer, NewDocument, enter_feedback
from storage.results.signed_reports import reports_of_series, reports_since
from storage.series.instances import known_among
from storage.series.pace import latest_analyses
from storage.states import SeriesState
from tests.support.console.console_under_test import NOW, ConsoleUnderTest

pytestmark = pytest.mark.database
SINCE = NOW - timedelta(days=30)
GROWING = "series|instance|result|result_object|delivery|feedback|feedback_subject|closing"
GROWING += "|console_change|notification|search|commitment|commitment_item"
GROWING += "|signed_report|signed_report_subject"
"""Tables that grow with every series."""
SCANS = {
    "sqlite": re.compile(rf"\bSCAN ({GROWING})\b"),
    "postgresql": re.compile(rf"Seq Scan on ({GROWING})\b"),
}
Query = Callable[[Session], object]
QUERIES: dict[str, Query] = {
    "worklist": lambda s: worklist(s, Filter(), 50),
    "worklist, next page": lambda s: worklist(s, Filter(before=(NOW, "1.2.3")), 50),
    "worklist of a state": lambda s: worklist(s, Filter(state=SeriesState.FAILED), 50),
    "worklist of a sender": lambda s: worklist(s, Filter(sender="CT1"), 50),
    "worklist of a study": lambda s: worklist(s, Filter(study="1.2.8"), 50),
    "worklist of a day": lambda s: worklist(s, Filter(since=SINCE, until=NOW), 50),
    "worklist of a flag": lambda s: worklist(s, Filter(flag="gaps-filled", since=SINCE), 50),
    "worklist of a destination": lambda s: worklist(s, Filter(destination="PACS", since=SINCE), 50),
    "series alike": lambda s: worklist(s, Filter(alike=("accession_of", "1.2.3")), 50),
    "worklist of a patient": lambda s: worklist(s, Filter(patients=("a", "b")), 50),
    "worklist of an accession number": lambda s: worklist(s, Filter(accessions=("a", "b")), 50),
    "pace": lambda s: latest_analyses(s, SINCE),
    "files known": lambda s: known_among(s, [f"incoming/00/{n}.dcm" for n in range(3)]),
    "nothing to send": nothing_to_send,
    "senders": senders,
    "tiles": lambda s: tiles(s, NOW),
    "page of a series": lambda s: series_page(s, "1.2.3"),
    "images": lambda s: (kept_images(s, "1.2.3"), one_image_each(s, ["1.2.3"])),
    "destinations": lambda s: (
        backlog(s, "PACS"),
        held_deliveries(s, "PACS"),
        waited_for(s),
    ),
    "what is tried again": lambda s: waiting_remarks(s, ["1.2.3"]),
    "senders of a week": lambda s: sender_lines(s, SINCE),
    "queue": lambda s: queue(s, 200),
    "scores": lambda s: stored_scores(s, SINCE),
    "cases": lambda s: cases_of(s, ["1.2.3"]),
    "scanners": lambda s: (scanners(s), kernels(s)),
    "answers to a series": lambda s: answers_to(s, ["1.2.3"]),
    "answers of a period": lambda s: (answers_since(s, SINCE), answer_counts(s, SINCE)),
    "answers of a document": lambda s: answers_in(s, ["1.2.3"]),
    "results": lambda s: assessed_results(s, {"key-1.2.3"}),
    "diagnoses": lambda s: [
        scored_series(s, column, ["1.2.3"])
        for column in ("accession", "study_instance_uid", "series_instance_uid")
    ],
    "reports": lambda s: (reports_since(s, SINCE), reports_of_series(s, ["1.2.3"])),
    "changes": lambda s: latest_changes(s, 200),
    "sessions": lambda s: (find_session(s, "a", NOW), list_sessions(s, NOW)),
}


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    made.analyse("1.2.3")
    source = ScoredSeries(
        series_instance_uid="1.2.3", study_instance_uid="1.2.8", result_key="", positive=True
    )
    document = NewDocument(
        document_uid="1.2.3.4", answers=(NewAnswer(answer="accepted", subjects=("1.2.3.8",)),)
    )
    with made.resources.sessions.begin() as session:
        enter_feedback(session, source, [document], NOW)
    yield made
    made.resources.close()


def plans(session: Session, query: Query) -> list[tuple[str, str]]:
    """Give the plan of each statement that a query makes."""
    connection = session.connection()
    seen: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:  # noqa: ANN401  # of any driver
        seen.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    query(session)
    event.remove(connection, "before_cursor_execute", note)
    return [(one[0], explained(connection, *one)) for one in seen]


def is_scan(statement: str, plan: str, forbidden: re.Pattern[str]) -> bool:
    """Say whether all of a table is looked at; a limit ends what goes along an index."""
    ends = "LIMIT" in statement
    return any(
        forbidden.search(line) and not (ends and "INDEX" in line) for line in plan.split("\n")
    )


def explained(connection: Connection, statement: str, parameters: Any) -> str:  # noqa: ANN401  # of any driver
    is_sqlite = connection.dialect.name == "sqlite"
    word = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{word} {statement}", parameters).all()
    return "\n".join(str(row[-1]) for row in rows)


def test_no_query_scans_a_table_that_grows(console: ConsoleUnderTest) -> None:
    scanning: list[tuple[str, str, str]] = []
    with console.resources.sessions.begin() as session:
        connection = session.connection()
        forbidden = SCANS[connection.dialect.name]
        if connection.dialect.name == "postgresql":  # else it scans what is this small
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for name, query in QUERIES.items():
            found = plans(session, query)
            assert found, name
            scanning += [(name, *one) for one in found if is_scan(*one, forbidden)]
    assert scanning == []


def test_a_scan_would_be_seen(console: ConsoleUnderTest) -> None:
    def by_reason(session: Session) -> None:
        session.execute(select(Series).where(Series.reason == "x")).all()

    with console.resources.sessions.begin() as session:
        ((_, plan),) = plans(session, by_reason)
        assert SCANS[session.connection().dialect.name].search(plan)
