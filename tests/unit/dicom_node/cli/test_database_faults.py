"""A database that cannot be used is said in one sentence, by every command, without a traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from config.reader import load
from dicom_node.cli.app import main
from dicom_node.cli.exit_codes import ExitStatus
from storage.database.engine import migrate, open_database
from storage.database.schema import Quarantine
from tests.support.databases import database_url
from tests.support.node_process import free_port
from tests.support.servers.postgresql import PASSWORD, USER, Cluster

NOW = datetime(2024, 5, 1, tzinfo=UTC)
Ended = tuple[int, str]
COMMANDS = (["check"], ["status"], ["doctor"], ["redeliver", "--all"], ["reissue", "--all"])


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    path = tmp_path / "node.ini"
    path.write_text(
        "[storage]\nfolder = data\n[destination PACS]\nae_title = PACS\nhost = ::1\nport = 1\n"
    )
    return path


@pytest.fixture
def call(
    ini: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Run a command; give its exit status, and what it said of its end."""

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["dicom-node", *words, "--config", str(ini)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr().err
        kind = next(
            kind for kind in ("error:", "fault:", "doubt:") if kind in said or kind == "doubt:"
        )
        return int(end.value.code or 0), said[said.rfind(kind) :]

    return run


def use(ini: Path, url: str) -> None:
    ini.write_text(ini.read_text().replace("folder = data", f"folder = data\ndatabase_url = {url}"))


def start_of_the_node(ini: Path) -> Ended:
    """Start a node, as a process: its end is expected at once."""
    command = [sys.executable, "-P", "-m", "dicom_node", "run", "--config", str(ini)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr[ended.stderr.find("error:") :]


def assert_said(ended: Ended, words: str) -> None:
    status, sentence = ended
    assert status in {ExitStatus.FAULT, ExitStatus.LATER}
    assert words in sentence
    assert sentence.count("\n") == 1, sentence


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_server_that_does_not_answer(
    ini: Path, call: Callable[..., Ended], words: list[str]
) -> None:
    use(ini, f"postgresql://{USER}:secret@127.0.0.1:{free_port()}/x")

    ended = call(*words)

    assert_said(ended, "the database cannot be reached (connection")
    assert "Connection refused" in ended[1]
    assert "secret" not in ended[1]


def test_a_node_does_not_start_without_its_database(ini: Path) -> None:
    use(ini, f"postgresql://{USER}:secret@127.0.0.1:{free_port()}/x")

    assert_said(start_of_the_node(ini), "see that it runs")


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("name", "password", "words"),
    [
        ("postgres", "wrong", "password authentication failed"),
        ("x", PASSWORD, '"x" does not exist'),
    ],
)
def test_a_server_that_does_not_let_us_in(
    ini: Path, call: Callable[..., Ended], postgresql: Cluster, name: str, password: str, words: str
) -> None:
    password = password.replace(" ", "%20")
    use(ini, f"postgresql://{USER}:{password}@127.0.0.1:{postgresql.port}/{name}")

    for command in ("check", "status"):
        assert_said(call(command), words)


def test_a_driver_that_is_not_installed(
    ini: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    use(ini, "postgresql://node@127.0.0.1/x")

    for command in ("check", "status", "doctor"):
        assert_said(call(command), "pip install 'dicom-node[postgres]'")


def test_a_library_that_is_not_installed(
    call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("pipeline.model")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)

    status, sentence = call("check")
    assert status == ExitStatus.DONE  # the node receives, and delivers
    assert "torch is not installed: pip install dicom-node installs it" in sentence


@pytest.mark.parametrize("url", ["postgresql://node:secret@host:port/x", "sqlite+none:////x"])
def test_a_url_that_is_none(ini: Path, call: Callable[..., Ended], url: str) -> None:
    use(ini, url)

    for command in ("check", "status"):
        ended = call(command)
        assert_said(ended, "the URL of the database is none")
        assert "secret" not in ended[1]


def test_a_database_that_does_not_exist_yet(ini: Path, call: Callable[..., Ended]) -> None:
    assert_said(
        call("status"),
        "there is no database yet: the node has not been started, or its folder is not mounted",
    )
    assert not load(ini).storage.folder.exists()


@pytest.fixture
def revise(ini: Path, tmp_path: Path) -> Callable[[str], None]:
    """Make the node's database, of the kind of the test, and give it another revision."""

    def write(revision: str) -> None:
        load(ini).storage.folder.mkdir()
        use(ini, database_url(tmp_path / "data", empty=True))
        engine = open_database(load(ini).database_url)
        migrate(engine)
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision}
            )
        engine.dispose()

    return write


@pytest.mark.database
def test_a_database_of_a_newer_program(
    ini: Path, call: Callable[..., Ended], revise: Callable[[str], None]
) -> None:
    revise("0099")

    for words in (["check"], ["status"], ["doctor"], ["upgrade"], ["downgrade", "0001"]):
        assert_said(call(*words), "the database is of a newer version (0099, this program's is 0")
    assert_said(start_of_the_node(ini), "install the newer program, or restore")


@pytest.mark.database
def test_a_database_of_an_older_program(
    ini: Path, call: Callable[..., Ended], revise: Callable[[str], None]
) -> None:
    revise("0001")

    assert_said(call("status"), "the database is of an older version (0001")
    assert call("check")[0] == 0  # the start brings it up to date
    ini.write_text(ini.read_text().replace("[storage]", "[storage]\nmigrate_at_start = no"))
    assert_said(call("check"), "the database is of an older version (0001")


@pytest.fixture
def pages(ini: Path) -> tuple[Path, int]:
    """A database with many rows of quarantine: its file, and the size of a page."""
    load(ini).storage.folder.mkdir()
    engine = open_database(load(ini).database_url)
    migrate(engine)
    rows = [
        {"path": f"quarantine/{number}", "reason": "x" * 500, "calling_ae": "CT", "at": NOW}
        for number in range(50)
    ]
    with engine.begin() as connection:
        connection.execute(insert(Quarantine), rows)
        size = int(connection.execute(text("PRAGMA page_size")).scalar_one())
    engine.dispose()
    return load(ini).storage.folder / "node.sqlite", size


def damage(file: Path, start: int, end: int) -> None:
    content = bytearray(file.read_bytes())
    content[start:end] = b"\xff" * (end - start)
    file.write_bytes(content)


def test_one_damaged_page_is_found_by_the_check(
    call: Callable[..., Ended], pages: tuple[Path, int]
) -> None:
    file, size = pages
    start = file.read_bytes().index(b"quarantine/25") // size * size
    damage(file, start, start + size)

    assert_said(call("check"), "the database is damaged: stop the node and restore a copy")


def test_a_damaged_database(ini: Path, call: Callable[..., Ended], pages: tuple[Path, int]) -> None:
    file, size = pages
    damage(file, size, file.stat().st_size)

    for command in ("check", "status", "doctor"):
        assert_said(call(command), "the database is damaged (SQLITE_CORRUPT)")
    assert_said(start_of_the_node(ini), "the database is damaged (SQLITE_CORRUPT)")
