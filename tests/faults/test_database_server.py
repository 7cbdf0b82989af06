"""A PostgreSQL server that cannot be written for a while: rows wait, and follow by themselves."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from dicom_node.health import Health, PartFault
from dicom_node.reception.index_writer import DELAY_SECONDS, PART, IndexWriter
from storage.database.engine import open_database
from storage.database.schema import Instance
from storage.database.sessions import Sessions
from storage.errors import DatabaseUnavailable
from storage.series.instance_facts import InstanceFacts
from tests.support.databases import database_url
from tests.support.node_process import wait_until
from tests.support.servers.postgresql import Cluster

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True),
]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROLE, PASSWORD = "plain", "of a plain role"
SIZE_MB = 24  #: of the disk that gets full


@dataclass(frozen=True)
class Server:
    """A database, as its administrator sees it."""

    cluster: Cluster
    name: str

    def do(self, *statements: str) -> None:
        """Run statements in the database, each in a transaction of its own."""
        with psycopg.connect(self.cluster.address(self.name), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def end_connections(self) -> None:
        """End the connections of the plain role."""
        self.do(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'")  # noqa: S608  # our own name

    def url(self) -> str:
        """URL of the database for the plain role, with its password."""
        address = f"127.0.0.1:{self.cluster.port}"
        return f"postgresql://{ROLE}:{PASSWORD.replace(' ', '%20')}@{address}/{self.name}"


@pytest.fixture
def server(tmp_path: Path, postgresql: Cluster, database_kind: str) -> Iterator[Server]:
    """A database whose tables a role may use that is no superuser."""
    server = Server(postgresql, str(make_url(database_url(tmp_path)).database))
    server.do(
        f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {ROLE}",
    )
    yield server
    server.end_connections()
    server.do(f"DROP OWNED BY {ROLE}", f"DROP ROLE {ROLE}")


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    """Fail over to a server that is for reading, or have a full one refuse to be written."""
    database = f"ALTER DATABASE {server.name}"
    server.do(f"{database} SET default_transaction_read_only = on")
    server.end_connections()
    yield
    server.do("SET default_transaction_read_only = off", f"{database} RESET ALL")


@contextmanager
def other_password(server: Server) -> Iterator[None]:
    server.do(f"ALTER ROLE {ROLE} PASSWORD 'another'")
    server.end_connections()
    yield
    server.do(f"ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'")


@contextmanager
def no_connections(server: Server) -> Iterator[None]:
    server.do(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0")
    server.end_connections()
    yield
    server.do(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")


@contextmanager
def no_rights(server: Server) -> Iterator[None]:
    server.do(f"REVOKE INSERT ON instance FROM {ROLE}")
    yield
    server.do(f"GRANT INSERT ON instance TO {ROLE}")


@contextmanager
def locked(server: Server) -> Iterator[None]:
    with psycopg.connect(server.cluster.address(server.name)) as connection:
        connection.execute("LOCK TABLE instance")
        yield


@contextmanager
def full_disk(server: Server) -> Iterator[None]:
    """Put the table of instances on a small disk of its own, and take all its room."""
    disk = server.cluster.folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a disk cannot be mounted here: that takes root and its capabilities")
    shutil.chown(disk, user=(server.cluster.folder / "data").owner())
    try:
        server.do(
            f"CREATE TABLESPACE small LOCATION '{disk}'",
            "ALTER TABLE instance SET TABLESPACE small",
        )
        filler = disk / "filler"
        with filler.open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
        yield
        filler.unlink()
    finally:
        server.do("ALTER TABLE instance SET TABLESPACE pg_default", "DROP TABLESPACE small")
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def arrival(number: int) -> tuple[InstanceFacts, datetime]:
    facts = InstanceFacts(
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
    return facts, NOW


@dataclass
class Writing:
    """An index writer of a node, whose time passes by hand."""

    url: str

    def __post_init__(self) -> None:
        self.now, self.health = 0.0, Health()
        self.sessions = Sessions(open_database(self.url))
        self.index = IndexWriter(self.sessions, health=self.health, steady=lambda: self.now)

    def rows(self) -> int:
        """Count the rows of instances."""
        with self.sessions.reading() as session:
            return session.scalar(select(func.count()).select_from(Instance)) or 0

    def told(self) -> tuple[PartFault, ...]:
        """Have the writer look after itself; give what an operator sees."""
        self.index.look()
        return self.health.snapshot()

    def is_stuck(self, words: str) -> bool:
        """Whether an operator is told why rows wait; others use their connections meanwhile."""
        for _ in range(5):
            with suppress(DatabaseUnavailable):
                self.rows()
        return any(words in fault.reason for fault in self.told())


@pytest.fixture
def writing(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writing]:
    """A writer that has written one row."""
    for wait in ("BUSY_TIMEOUT_MS", "READER_LOCK_MS"):
        monkeypatch.setattr(f"storage.database.engine.{wait}", 200)
    writing = Writing(server.url())
    writing.index.start()
    writing.index.record_instance(*arrival(0))
    wait_until(lambda: writing.rows() == 1, seconds=20, what="the row of before")
    yield writing
    writing.index.stop(0)
    writing.sessions.close()


@pytest.mark.parametrize(
    ("fault", "words", "instances"),
    [
        (read_only, "ReadOnlySqlTransaction 25006", 1),
        (other_password, "password authentication failed", 1),
        (no_connections, "too many connections", 1),
        (no_rights, "InsufficientPrivilege 42501", 1),
        (locked, "LockNotAvailable 55P03", 1),
        (full_disk, "DiskFull 53100", 3000),
    ],
)
def test_rows_wait_while_the_server_cannot_be_written_and_follow(
    server: Server,
    writing: Writing,
    fault: Callable[[Server], AbstractContextManager[None]],
    words: str,
    instances: int,
) -> None:
    """A connection that was made while the server was for reading alone stays so for life."""
    with fault(server):
        for number in range(instances):
            writing.index.record_instance(*arrival(number + 1))
        wait_until(lambda: writing.is_stuck(words), seconds=20, what="the fault")
        assert not writing.index.refusal()
        writing.now += DELAY_SECONDS + 1
        assert words in writing.index.refusal()
        (told,) = writing.told()
        assert (told.part, told.receiving) == (PART, False)
        assert "\n" not in told.reason

    wait_until(lambda: writing.rows() == 1 + instances, seconds=20, what="the rows of meanwhile")
    wait_until(lambda: writing.told() == (), seconds=20, what="the end of refusals")
