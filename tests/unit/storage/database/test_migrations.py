"""Migrations make the tables of the schema, forwards and backwards."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.database.engine import (
    alembic_config,
    is_absent,
    is_migrated,
    migrate,
    open_database,
    reading,
)
from storage.database.schema import Base, Instance, Refusal, Result, ResultObject, Series
from storage.series.quarantine_and_refusals import RefusalKind, record_refusal
from tests.support.databases import database_url

pytestmark = pytest.mark.database
NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(database_url(tmp_path, empty=True))
    yield engine
    engine.dispose()


def test_migrated_tables_equal_the_schema(engine: Engine) -> None:
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_database_that_is_not_there_or_empty_is_not_migrated_nor_made(engine: Engine) -> None:
    assert not is_migrated(engine)
    assert is_absent(engine) == (engine.dialect.name == "sqlite")
    engine.connect().close()
    assert not is_migrated(engine)
    migrate(engine)
    assert is_migrated(engine)


def test_comparison_would_see_a_difference(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE series DROP COLUMN reason"))
        connection.execute(text("DROP INDEX ix_instance_series_instance_uid"))
        context = MigrationContext.configure(connection)
        kinds = {difference[0] for difference in compare_metadata(context, Base.metadata)}
    assert kinds == {"add_column", "add_index"}


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    with Session(engine) as session, session.begin():
        record_refusal(session, NOW, RefusalKind(calling_ae="CT1", what="x", reason="y"))
    migrate(engine)
    with Session(engine) as session:
        assert session.get_one(Refusal, ("CT1", "", "x", "y")).count == 1


def test_what_was_kept_before_a_migration_is_kept(engine: Engine) -> None:
    """A result with its object, of the first tables, and back again."""
    at = "'2024-05-01 00:00:00'"
    migrate_to(engine, "0001")
    with engine.begin() as connection:
        for row in (
            f"series VALUES ('9','8','CT','1','CT1',{at},{at},1,'encoded',{at},'',2,1,false,'k')",
            f"result VALUES ('k','9',2,{at},'m 1',0.25,false,'{{}}','results/k')",
            "result_object VALUES ('5','k','report','1','7','1','results/k/0.dcm',0)",
            f"refusal VALUES ('CT1','x','y',2,{at})",
        ):
            connection.execute(text(f"INSERT INTO {row}"))
    migrate(engine)
    with Session(engine) as session:
        result = session.get_one(Result, "k")
        assert (result.score, result.positive, result.revision, result.priors) == (
            0.25,
            False,
            2,
            0,
        )
        series = session.get_one(Series, "9")
        assert (series.rerun, series.patient_key, series.study_date) == (None, "", "")
        assert session.get_one(ResultObject, "5").result_key == "k"
        assert session.get_one(Refusal, ("CT1", "", "x", "y")).count == 2
    migrate_to(engine, "0001", back=True)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT score, positive FROM result")).one() == (0.25, 0)
        assert connection.execute(text("SELECT what, count FROM refusal")).one() == ("x", 2)


def test_digests_of_before_stay_plain_for_the_start_that_has_the_key(engine: Engine) -> None:
    """Backwards they are emptied: an older program would compare keyed ones with plain ones."""
    migrate_to(engine, "0018")
    row = {"u": "9", "p": "p" * 64, "b": "b" * 64, "at": "2024-05-01 00:00:00"}
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO series (series_instance_uid, study_instance_uid, modality,"
                " sop_class_uid, calling_ae, first_at, last_at, instances, state, since, reason,"
                " generation, attempts, reopened, patient_key, patient_digest, birth_digest,"
                " study_date, study_time, purging, urgent, of_documents) VALUES (:u, '8', 'CT',"
                " '1', 'CT1', :at, :at, 1, 'failed', :at, '', 1, 1, false, :p, :p, :b, '', '',"
                " false, false, false)"
            ),
            row,
        )
        connection.execute(
            text(
                "INSERT INTO feedback (id, document_uid, position, series_instance_uid,"
                " study_instance_uid, patient_digest, birth_digest, predecessors, answer, finding,"
                " finding_name, reason_code, reason_scheme, reason, comment, observer, role,"
                " said_at, received_at, calling_ae, superseded) VALUES (1, '7', 0, :u, '8', :p,"
                " :b, '', 'rejected', '', '', '', '', '', '', '', '', :at, :at, 'PACS', false)"
            ),
            row,
        )
    migrate(engine)
    series = text("SELECT patient_key, patient_digest, birth_digest FROM series")
    feedback = text("SELECT patient_digest, birth_digest FROM feedback")
    with engine.connect() as connection:
        assert connection.execute(series).one() == ("p" * 64, "p" * 64, "b" * 64)
        assert connection.execute(feedback).one() == ("p" * 64, "b" * 64)
        assert connection.execute(text("SELECT accession_key FROM series")).one() == ("",)
        assert connection.execute(text("SELECT * FROM digest_key")).all() == []
    migrate_to(engine, "0018", back=True)
    with engine.connect() as connection:
        assert connection.execute(series).one() == ("", "", "")
        assert connection.execute(feedback).one() == ("", "")


def migrate_to(engine: Engine, revision: str, *, back: bool = False) -> None:
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        (command.downgrade if back else command.upgrade)(config, revision)


def test_several_processes_may_migrate_at_the_same_time(engine: Engine) -> None:
    faults: list[Exception] = []

    def run() -> None:
        other = open_database(str(engine.url))
        try:
            migrate(other)
        except Exception as fault:  # noqa: BLE001  a thread's fault is looked at by the test
            faults.append(fault)
        other.dispose()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert "series" in inspect(engine).get_table_names()


def test_instance_needs_its_series(engine: Engine) -> None:
    migrate(engine)
    orphan = Instance(
        sop_instance_uid="1",
        digest="a",
        series_instance_uid="9",
        sop_class_uid="1",
        transfer_syntax_uid="1",
        path="p",
        bytes=1,
        calling_ae="CT1",
        received_at=NOW,
    )
    with Session(engine) as session:
        session.add(orphan)
        with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
            session.flush()


def test_reader_does_not_wait_for_a_writer(engine: Engine) -> None:
    migrate(engine)
    with Session(engine) as writer, writer.begin():
        record_refusal(writer, NOW, RefusalKind(calling_ae="CT1", what="x", reason="y"))
        with Session(reading(engine)) as reader:
            assert reader.get(Refusal, ("CT1", "", "x", "y")) is None
