"""Remember what was read of open series, so that no look reads it again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """Values by their keys, up to a size of all together; further ones are read each time.

    Parameters
    ----------
    most
        Size of all values together.
    size
        Gives that of one, in the same unit.
    """

    def __init__(self, most: int, size: Callable[[Value], int]) -> None:
        self._left, self._size = most, size
        self._values: dict[Key, Value] = {}

    def value(self, key: Key, read: Callable[[], Value]) -> Value:
        """Give a value; read it if it is not remembered."""
        if key in self._values:
            return self._values[key]
        value = read()
        size = self._size(value)
        if size <= self._left:
            self._left -= size
            self._values[key] = value
        return value

    def forget_others(self, keys: Collection[Key]) -> None:
        """Forget the values of all other keys."""
        for key in self._values.keys() - set(keys):
            self._left += self._size(self._values.pop(key))
