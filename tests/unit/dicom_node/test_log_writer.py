"""Log writer: nobody waits for the log, and nobody fails by it; what is lost is counted."""

from __future__ import annotations

import ast
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

import dicom_node
from dicom_node import logs
from dicom_node.errors import NodeError
from dicom_node.log_writer import LogFile, LogWriter, WriterStream

PACKAGE = Path(dicom_node.__file__).parent
LEVELS = {"debug", "info", "warning", "error", "exception"}


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:
            continue  # the test closed it


def test_lines_come_out_whole_and_in_order(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        writer = LogWriter(stream)
        for number in range(1000):
            writer.put(f"line {number}")
        writer.flush(10)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == [f"line {number}" for number in range(1000)]
    assert writer.lost == 0


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    writer = LogWriter(LogFile(path))
    for line in ("first", "second", "third"):
        writer.put(line)
        writer.flush(10)
        path.rename(tmp_path / f"{line}.log")

    assert (tmp_path / "first.log").read_text() == "first\n"
    assert (tmp_path / "third.log").read_text() == "third\n"
    assert writer.lost == 0


class MovedAfterOpening(type(Path())):  # type: ignore[misc]  # the path of this system
    """Path of a file that logrotate moves away right after it was opened."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        moved = Path(f"{self}.1")
        if not moved.exists():
            Path(self).rename(moved)
            Path(self).touch()
        return Path(self).stat(follow_symlinks=follow_symlinks)


def test_a_file_that_was_moved_away_while_it_was_opened_is_begun_anew(tmp_path: Path) -> None:
    file = LogFile(MovedAfterOpening(tmp_path / "node.log"))

    file.write("line\n")

    assert (tmp_path / "node.log").read_text() == "line\n"
    assert not (tmp_path / "node.log.1").read_text()


def test_two_processes_append_to_one_file_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    node, console = LogFile(path), LogFile(path)
    for number in range(3):
        node.write(f"node {number}\n")
        console.write(f"console {number}\n")

    assert path.read_text().splitlines()[:3] == ["node 0", "console 0", "node 1"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_begun_anew_loses_lines_until_it_can(tmp_path: Path) -> None:
    place = tmp_path / "log"
    place.mkdir()
    writer = LogWriter(LogFile(place / "node.log"))
    place.rename(tmp_path / "gone")
    writer.put("lost")
    writer.flush(10)
    assert (writer.lost, writer.is_alive()) == (1, True)
    assert "FileNotFoundError" in writer.fault

    place.mkdir()
    writer.put("kept")
    writer.flush(10)

    assert (place / "node.log").read_text() == "kept\n"
    assert not writer.fault


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"\[log\] file: expected a file that can be written"):
        logs.configure(file=tmp_path / "no" / "node.log")


def test_a_reader_that_is_gone_stops_nobody(pipe: tuple[int, int]) -> None:
    reader, end = pipe
    os.close(reader)
    with os.fdopen(os.dup(end), "w") as stream:
        writer = LogWriter(stream)
        for _ in range(3):
            writer.put("line")
        writer.flush(10)
        assert (writer.lost, writer.is_alive()) == (3, True)
        assert "BrokenPipeError" in writer.fault


def test_a_reader_that_sleeps_makes_nobody_wait(pipe: tuple[int, int]) -> None:
    reader, end = pipe
    with os.fdopen(os.dup(end), "w") as stream:
        writer = LogWriter(stream, room=10)
        for _ in range(200):
            writer.put("x" * 10_000)  # more than a pipe holds
        assert writer.lost > 100
        assert writer.fault == "the log is not read"
        drain = threading.Thread(target=read_to_the_end, args=(reader,), daemon=True)
        drain.start()
        writer.flush(10)
        assert not writer.fault
    os.close(end)  # the last one: the thread comes to the end before the pipe is closed
    drain.join(10)


def read_to_the_end(descriptor: int) -> None:
    while os.read(descriptor, 1 << 16):
        continue


def test_a_full_disk_is_counted_and_room_is_used_again() -> None:
    with Path("/dev/full").open("w") as full:
        writer = LogWriter(full)
        writer.put("line")
        writer.flush(10)
        assert (writer.lost, writer.is_alive()) == (1, True)
        assert "OSError" in writer.fault


def test_a_standard_error_that_was_closed_loses_lines_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, fresh_structlog: None
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    writer = logs.configure(style="console")
    structlog.get_logger().info("series_closed")
    writer.flush(10)
    assert (writer.lost, writer.is_alive()) == (1, True)


@pytest.fixture
def fresh_structlog() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_a_line_that_cannot_be_made_does_not_reach_the_caller(fresh_structlog: None) -> None:
    writer = logs.configure()

    class Nameless:
        def __repr__(self) -> str:
            raise RuntimeError

    structlog.get_logger().info("not in the closed set")
    structlog.get_logger().info("series_closed", patient_name="x")
    structlog.get_logger().info("series_closed", reason=Nameless())
    assert writer.lost == 3


def test_of_one_event_so_many_lines_a_minute_and_the_rest_is_counted() -> None:
    now = [0.0]
    limit = logs.LineLimit(5, lambda: now[0])
    written = 0
    for _ in range(12):
        try:
            limit(None, "info", {"event": "association_rejected"})
            written += 1
        except structlog.DropEvent:
            continue
    assert written == 5
    assert limit(None, "info", {"event": "series_closed"}) == {"event": "series_closed"}
    now[0] = 60.0
    line = limit(None, "info", {"event": "association_rejected"})
    assert line == {"event": "association_rejected", "suppressed": 7}


def test_what_libraries_print_comes_by_whole_lines(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        writer = LogWriter(file)
        stream = WriterStream(writer)
        other = threading.Thread(target=print, args=("between",), kwargs={"file": stream})
        print("one", end=" ", file=stream)
        other.start()
        other.join()
        print("line", file=stream)
        writer.flush(10)
    assert (tmp_path / "log").read_text() == "between\none line\n"


def test_every_event_in_the_code_is_in_the_closed_set_and_names_no_patient() -> None:
    found = 0
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
            ):
                continue
            names = {keyword.arg for keyword in node.keywords}
            assert not {
                name for name in names if name and name.startswith(logs.FORBIDDEN_FIELDS)
            }, f"{path}:{node.lineno}"
            event = node.args[0]
            if isinstance(event, ast.Constant):
                assert event.value in logs.EVENTS, f"{path}:{node.lineno}"
                found += 1
    assert found > 40


def test_standard_error_of_a_node_never_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_structlog: None
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        monkeypatch.setattr(threading, "excepthook", threading.excepthook)
        writer = logs.configure()
        logs.take_standard_error(writer)
        sys.stderr.write("a library complains\n")
        failing = threading.Thread(target=lambda: 1 / 0, name="acceptor")
        failing.start()
        failing.join()
        writer.flush(10)
        assert writer.lost == 2
