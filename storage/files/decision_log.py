"""Keep the log of decisions: one JSON line each, in a chain that shows what was changed since.

Each line names the SHA-256 of the line before it, so that nothing in the midst can be changed,
taken out or put in unnoticed: ``sha256sum`` and this sentence are enough to verify it. That its end
was cut off shows against a head that was noted elsewhere.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

FILE = "decisions.jsonl"  #: in the storage folder
BEGINNING = "0" * 64  #: in place of the line before the first
TAIL_BYTES = 1 << 16  #: in which the last line is: longer ones are not written
LINE_END = b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last line: how many there are, and its SHA-256."""

    number: int
    digest: str

    def __str__(self) -> str:
        """Write it as ``number:digest``."""
        return f"{self.number}:{self.digest}"


EMPTY = Head(number=0, digest=BEGINNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One line.

    Attributes
    ----------
    what
        A word, such as ``settings`` or ``sent``.
    by
        Who decided: a person, or the node.
    facts
        What it was, without identity of a patient.
    """

    number: int
    at: datetime
    what: str
    by: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a verification found.

    Attributes
    ----------
    fault
        The first thing that is not as it was written; empty if all is.
    """

    head: Head
    fault: str = ""


def append(folder: Path, *, at: datetime, what: str, by: str, facts: Mapping[str, object]) -> Head:
    """Write a decision behind the last one, durably; processes take turns.

    A last line without its end, which a crash left, was never there. A lone surrogate, of a name
    that is no text, becomes '?'.

    Raises
    ------
    OSError
        If it cannot be written.
    TypeError
        If it has no JSON.
    ValueError
        If it is too long.
    """
    descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        last = _last_line(file)
        before = _head_of(last)
        entry = {
            "number": before.number + 1,
            "at": at.isoformat(),
            "what": what,
            "by": by,
            "facts": facts,
            "before": before.digest,
        }
        text = json.dumps(entry, ensure_ascii=False, sort_keys=True)
        line = text.encode(errors="replace")
        if len(line) >= TAIL_BYTES:
            raise ValueError(f"expected a decision of less than {TAIL_BYTES} bytes")
        file.write(line + LINE_END)
        file.flush()
        os.fsync(file.fileno())
    return Head(number=before.number + 1, digest=hashlib.sha256(line).hexdigest())


def _last_line(file: BinaryIO) -> bytes:
    """Read the last whole line, and go to where the next one begins; cut off what is none."""
    size = file.seek(0, os.SEEK_END)
    begin = max(0, size - 2 * TAIL_BYTES)
    file.seek(begin)
    tail = file.read()
    whole, _, rest = tail.rpartition(LINE_END)
    if rest:
        file.truncate(size - len(rest))
    file.seek(size - len(rest))
    return whole.rpartition(LINE_END)[2]


def _head_of(line: bytes) -> Head:
    """Read the number of a line; of one that is no decision as well, so that the log goes on."""
    if not line:
        return EMPTY
    try:
        number = int(json.loads(line)["number"])
    except (ValueError, TypeError, KeyError):
        number = 0
    return Head(number=number, digest=hashlib.sha256(line).hexdigest())


def read_decisions(folder: Path, what: str = "") -> Iterator[Decision]:
    """Read decisions, the first first; lines that are none are left out: see `verify`.

    Parameters
    ----------
    what
        The kind that is wanted; empty for all. Other lines are passed over without being parsed.
    """
    named = f'"what": {json.dumps(what)}'.encode() if what else b""
    for line in _lines(folder):
        entry = _entry(line) if named in line else None
        if entry is not None:
            yield Decision(
                number=entry["number"],
                at=datetime.fromisoformat(entry["at"]),
                what=entry["what"],
                by=entry["by"],
                facts=entry["facts"],
            )


def whole_bytes(folder: Path) -> int:
    """Give the size of the log up to the end of its last whole line."""
    try:
        with (folder / FILE).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read(size - file.tell())
    except FileNotFoundError:
        return 0
    return size - len(tail.rpartition(LINE_END)[2])


def verify(folder: Path, noted: Head | None = None, *, size: int | None = None) -> Verified:
    """Verify that every line is as it was written.

    Parameters
    ----------
    noted
        A head of the past: the log must go through it.
    size
        Bytes that are verified, up to the end of a line; None for all.
    """
    head = EMPTY
    seen = noted is None or noted == EMPTY
    for place, line in enumerate(_lines(folder, size), start=1):
        entry = _entry(line)
        if entry is None:
            return Verified(head=head, fault=f"line {place} is no decision")
        if entry["before"] != head.digest or entry["number"] != place:
            return Verified(
                head=head, fault=f"line {place} does not follow the line before: one was changed"
            )
        head = Head(number=place, digest=hashlib.sha256(line).hexdigest())
        seen = seen or head == noted
    if not seen:
        return Verified(head=head, fault=f"{noted} is not in the log: it was cut off, or replaced")
    return Verified(head=head)


def _lines(folder: Path, size: int | None = None) -> Iterator[bytes]:
    """Read the lines; one without its end is none."""
    read = 0
    try:
        with (folder / FILE).open("rb") as file:
            for line in file:
                read += len(line)
                if size is not None and read > size:
                    return
                if line.endswith(LINE_END):
                    yield line[:-1]
    except FileNotFoundError:
        return


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        datetime.fromisoformat(entry["at"])
        good = isinstance(entry["number"], int) and isinstance(entry["facts"], dict)
        words = all(isinstance(entry[name], str) for name in ("what", "by", "before"))
    except (ValueError, TypeError, KeyError):
        return None
    return entry if good and words else None
