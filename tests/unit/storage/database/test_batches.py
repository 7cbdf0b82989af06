"""Parts of what comes one by one: all of it, in order, and never more than a part in memory."""

from collections.abc import Iterator

import pytest

from storage.database.batches import in_parts


@pytest.mark.parametrize(
    ("count", "parts"), [(0, []), (1, [[0]]), (4, [[0, 1], [2, 3]]), (5, [[0, 1], [2, 3], [4]])]
)
def test_parts_hold_everything_in_order(count: int, parts: list[list[int]]) -> None:
    assert list(in_parts(range(count), 2)) == parts


def test_nothing_is_taken_before_its_part_is_asked_for() -> None:
    taken: list[int] = []

    def coming() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    parts = in_parts(coming(), 10)
    next(parts)

    assert taken == list(range(10))
