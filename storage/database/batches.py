"""Divide long lists of parameters: databases take only so many in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

Thing = TypeVar("Thing")

Value = TypeVar("Value", str, int)  #: of a parameter of a statement
MAXIMUM_PARAMETERS = 500  #: of one statement; databases have a limit


def batched(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """Divide values into parts that one statement can hold."""
    for start in range(0, len(values), MAXIMUM_PARAMETERS):
        yield values[start : start + MAXIMUM_PARAMETERS]


def in_parts(things: Iterable[Thing], size: int) -> Iterator[list[Thing]]:
    """Divide what comes one by one into lists of a size; never more than one is in memory."""
    remaining = iter(things)
    while part := list(islice(remaining, size)):
        yield part
