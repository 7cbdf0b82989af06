"""Measure in rounds: each way once a round, the order turned round each time."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Measurements = dict[str, list[float]]  #: of each way, one a round; seconds
FLOOR, CEILING = "at least", "less than"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a number should be.

    Attributes
    ----------
    bound
        `FLOOR` or `CEILING`.
    unit
        Behind the number.
    """

    what: str
    bound: str
    limit: float
    unit: str = ""

    def met(self, value: float) -> bool:
        """Whether it is."""
        return value >= self.limit if self.bound == FLOOR else value < self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One goal, and what was found."""

    goal: Goal
    values: tuple[float, ...] = ()
    not_measured: str = ""

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What each way did.

    Attributes
    ----------
    objects
        How many objects one way took in a round.
    seconds
        Of each way, one a round.
    """

    title: str
    objects: int
    seconds: Measurements


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One part of the document."""

    title: str
    said: str
    tables: tuple[Table, ...]
    lines: tuple[Line, ...]


def measure(ways: Mapping[str, Callable[[], float]], rounds: int) -> Measurements:
    """Seconds of each way, in each round."""
    found: Measurements = {name: [] for name in ways}
    for turn in range(rounds):
        for name in sorted(ways, reverse=bool(turn % 2)):
            found[name].append(ways[name]())
    return found


def faster(seconds: Measurements, ours: str, theirs: str, goal: Goal) -> Line:
    """How many times as fast as theirs ours is, round by round."""
    if theirs not in seconds:
        return Line(goal=goal, not_measured=f"{theirs} is not installed")
    pairs = zip(seconds[ours], seconds[theirs], strict=True)
    return Line(goal=goal, values=tuple(their / our for our, their in pairs))


@contextmanager
def scratch() -> Iterator[Path]:
    """Lend a folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
