"""Series are found by the exact value of what names them, by way of an index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from storage.database.sessions import Session, Sessions
from storage.series.instances import record_instance
from storage.series.search import series_of_accession, series_of_patient, series_of_uid
from tests.support.databases import migrated_database
from tests.support.results_due import CT, START

pytestmark = pytest.mark.database

Search = Callable[[Session, str], list[str]]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = migrated_database(tmp_path)
    with Sessions(engine).begin() as session:
        for number in range(1, 5):
            facts = replace(
                CT,
                sop_instance_uid=f"2.25.10{number}",
                series_instance_uid=f"2.25.20{number}",
                study_instance_uid=f"2.25.30{number % 2}",
                patient_digest=f"patient {number % 2}",
                accession_key="" if number == 4 else f"accession {number % 2}",
                path=f"incoming/00/{number}.dcm",
            )
            record_instance(session, facts, START + timedelta(hours=number))
    yield engine
    engine.dispose()


FOUND: list[tuple[Search, str, list[str]]] = [
    (series_of_accession, "accession 1", ["2.25.203", "2.25.201"]),
    (series_of_accession, "accession", []),
    (series_of_accession, "", []),
    (series_of_patient, "patient 0", ["2.25.204", "2.25.202"]),
    (series_of_patient, "", []),
    (series_of_uid, "2.25.300", ["2.25.204", "2.25.202"]),
    (series_of_uid, "2.25.203", ["2.25.203"]),
    (series_of_uid, "2.25.102", ["2.25.202"]),
    (series_of_uid, "2.25.20", []),
    (series_of_uid, "", []),
]


@pytest.mark.parametrize(("search", "value", "series"), FOUND)
def test_the_latest_comes_first(
    database: Engine, search: Search, value: str, series: list[str]
) -> None:
    with Sessions(database).reading() as session:
        assert search(session, value) == series


def test_no_more_are_found_than_asked_for(database: Engine) -> None:
    with Sessions(database).reading() as session:
        assert series_of_accession(session, "accession 1", limit=1) == ["2.25.203"]


def test_no_table_is_read_from_end_to_end(database: Engine) -> None:
    """Of PostgreSQL as well where it may not: it reads tables as small as these as a whole."""
    statements: list[tuple[str, object]] = []

    def keep(_c: object, _u: object, statement: str, values: object, *_: object) -> None:
        statements.append((statement, values))

    event.listen(database, "before_cursor_execute", keep)
    with Sessions(database).reading() as session:
        for search, value, _ in FOUND:
            search(session, value)
    event.remove(database, "before_cursor_execute", keep)
    asked = [one for one in statements if one[0].startswith("SELECT")]
    assert len(asked) >= len(FOUND)
    sqlite = database.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN" if sqlite else "EXPLAIN"
    with database.connect() as connection:
        if not sqlite:
            connection.exec_driver_sql("SET enable_seqscan = off")
        for statement, values in asked:
            plan = connection.exec_driver_sql(f"{explain} {statement}", values).all()  # type: ignore[arg-type]  # as the driver got them
            words = "\n".join(str(line[-1]) for line in plan)
            assert not any(scan in words for scan in ("SCAN series", "SCAN instance", "Seq Scan"))
