"""Decide whether a repair would change so much that the folder or the database must be wrong.

A folder that is not mounted, a path that is wrong or a database of another time makes nearly every
row and file disagree. Then a repair would spoil what is whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from storage.maintenance.consistency import Kind

MOST_CHANGES = 20  #: changes of one kind that are always made
MOST_SHARE = 0.05  #: of all rows or files of that kind, changed beyond `MOST_CHANGES`


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Changes of one kind that a repair would make.

    Attributes
    ----------
    count
        Rows that would be changed, or files removed.
    total
        Rows or files of that kind that there are.
    """

    kind: Kind
    count: int
    total: int


def is_excessive(change: Change) -> bool:
    """Tell whether so many changes are a sign of a wrong folder or database.

    That is so above `MOST_CHANGES` and `MOST_SHARE` together, and where none of several is right.
    """
    if 1 < change.total <= change.count:
        return True
    return change.count > MOST_CHANGES and change.count > MOST_SHARE * change.total


def excessive(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Choose the kinds of change of which a repair would make too many."""
    return tuple(change for change in changes if is_excessive(change))
