"""The log of decisions: whatever is changed in it shows."""

from __future__ import annotations

import hashlib
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.files.decision_log import (
    BEGINNING,
    EMPTY,
    FILE,
    TAIL_BYTES,
    Head,
    append,
    read_decisions,
    verify,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write(folder: Path, *numbers: int) -> list[Head]:
    return [append(folder, at=NOW, what="sent", by="node", facts={"n": one}) for one in numbers]


def lines(folder: Path) -> list[bytes]:
    return (folder / FILE).read_bytes().splitlines(keepends=True)


def test_what_is_written_is_read_back_and_verified(tmp_path: Path) -> None:
    assert verify(tmp_path).head == EMPTY
    *_, last = write(tmp_path, 1, 2, 3)

    assert [(one.number, one.facts["n"]) for one in read_decisions(tmp_path)] == [
        (1, 1),
        (2, 2),
        (3, 3),
    ]
    found = verify(tmp_path)
    assert (found.head, found.fault) == (last, "")
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_sha256_of_a_line_is_all_that_is_needed_to_verify(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    first, second = lines(tmp_path)

    assert BEGINNING.encode() in first
    assert hashlib.sha256(first.rstrip(b"\n")).hexdigest().encode() in second


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_line_that_is_changed_taken_out_or_moved_shows(tmp_path: Path, place: int) -> None:
    write(tmp_path, 1, 2, 3, 4)
    whole = lines(tmp_path)
    changed = whole[place].replace(b'"node"', b'"knob"')
    for forged in (
        [*whole[:place], changed, *whole[place + 1 :]],
        [*whole[:place], *whole[place + 1 :]],
        [*whole[:place], whole[place + 1], whole[place], *whole[place + 2 :]],
        [*whole[:place], whole[place], whole[place], *whole[place + 1 :]],
        [*whole[:place], b"{}\n", *whole[place + 1 :]],
    ):
        (tmp_path / FILE).write_bytes(b"".join(forged))
        assert verify(tmp_path).fault


def test_a_log_that_was_cut_off_or_replaced_shows_against_a_noted_head(tmp_path: Path) -> None:
    noted, last = write(tmp_path, 1, 2, 3)[1:]
    assert verify(tmp_path, noted).fault == ""
    (tmp_path / FILE).write_bytes(b"".join(lines(tmp_path)[:2]))
    assert verify(tmp_path).fault == ""
    assert verify(tmp_path, noted).fault == ""
    assert f"{last} is not in the log" in verify(tmp_path, last).fault

    (tmp_path / FILE).unlink()
    write(tmp_path, 7, 8, 9)
    assert "is not in the log" in verify(tmp_path, noted).fault


def test_a_line_that_a_crash_left_half_was_never_there(tmp_path: Path) -> None:
    (head,) = write(tmp_path, 1)
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"at": "2026' + b"x" * 5_000)
    assert verify(tmp_path).head == head

    write(tmp_path, 2)
    assert (verify(tmp_path).fault, len(lines(tmp_path))) == ("", 2)


def test_a_log_that_was_tampered_with_goes_on_and_stays_found(tmp_path: Path) -> None:
    write(tmp_path, 1, 2)
    (tmp_path / FILE).write_bytes(b"nonsense\n" + lines(tmp_path)[1])
    write(tmp_path, 3)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes() + b"nonsense\n")
    write(tmp_path, 4)

    assert verify(tmp_path).fault == "line 1 is no decision"


def test_a_decision_has_an_end(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="less than"):
        append(tmp_path, at=NOW, what="sent", by="node", facts={"x": "y" * TAIL_BYTES})
    assert verify(tmp_path).head == EMPTY


def test_processes_take_turns(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(tmp_path, *range(30))) for _ in range(3)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()

    found = verify(tmp_path)
    assert (found.head.number, found.fault) == (90, "")
