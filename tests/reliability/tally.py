"""Tally of the reliability tests: attempts and outcomes, and their table."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

Tried = TypeVar("Tried")
LONG = os.environ.get("RELIABILITY") == "long"  #: `make reliability`; else the quick form
PAGE = """\
# What was tried to break it

Made by `make reliability` and `make mutants`; a quick form of the former runs in `make test`. Every
line was counted by what stands behind it (tests/reliability, tests/mutants) and says when it was
run last, and at which commit.

{table}"""
HEAD = ("promise", "tried", "came of it", "when")


def times(quick: Tried, long: Tried) -> Tried:
    """How often something is tried, or on what."""
    return long if LONG else quick


def when() -> str:
    """Today, and what was tested."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    here = Path(__file__).parent
    commit = subprocess.run(command, capture_output=True, text=True, check=False, cwd=here).stdout
    form = "" if LONG else " (quick form)"
    return f"{datetime.now(UTC).date().isoformat()} {commit.strip()}".strip() + form


@dataclass
class Tally:
    """Promises and how they fared, in the order in which they were first tried."""

    lines: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def note(self, promise: str, tried: str, held: str) -> None:
        """Enter one; what was said of the same promise before is replaced."""
        self.lines[promise] = (tried, held, when())

    def table(self) -> str:
        """Markdown."""
        rows = [HEAD, ("---",) * len(HEAD), *((name, *rest) for name, rest in self.lines.items())]
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)

    @classmethod
    def of(cls, text: str) -> Tally:
        """Read the lines of a table back."""
        rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:1] == "|"]
        kept = [row for row in rows if len(row) == len(HEAD) and row[0] not in (HEAD[0], "---")]
        return cls({promise: (tried, held, at) for promise, tried, held, at in kept})


@contextmanager
def page(file: Path) -> Iterator[Tally]:
    """Read the table of a page, and write it back with what was noted meanwhile."""
    tally = Tally.of(file.read_text()) if file.exists() else Tally()
    yield tally
    file.write_text(PAGE.format(table=tally.table()))
