"""What the tests of reliability tried, and what held: counts, and the table made of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

LONG = os.environ.get("RELIABILITY") == "long"  #: `make reliability`; else the quick form


def times(quick: int, long: int) -> int:
    """How often something is tried."""
    return long if LONG else quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One promise, and how it fared."""

    promise: str
    tried: str
    held: str


@dataclass
class Tally:
    """All of them, in the order in which they were tried."""

    lines: list[Line] = field(default_factory=list)

    def note(self, promise: str, tried: str, held: str) -> None:
        """Enter one."""
        self.lines.append(Line(promise=promise, tried=tried, held=held))

    def table(self) -> str:
        """Markdown."""
        head = "| promise | tried | came of it |\n| --- | --- | --- |\n"
        return head + "".join(
            f"| {line.promise} | {line.tried} | {line.held} |\n" for line in self.lines
        )
