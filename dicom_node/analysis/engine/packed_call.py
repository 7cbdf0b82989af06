"""Carry a call to a worker as bytes, so that nothing on the way has to understand it.

Dask unpickles a task in its scheduler, and in a worker while it reads from its connection: whoever
lacks what the task needs would break that connection. Bytes get through; what is missing where
they are unpacked is an ordinary error of the task, which says what is missing.
"""

from __future__ import annotations

import pickle  # between node and worker, under TLS: see SECURITY.md
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cloudpickle

unpack_and_call: Callable[[bytes], Any] = pickle.loads
"""Make a packed call, and return its value: a function of Python itself, which everybody has."""


@dataclass(frozen=True, slots=True)
class _Call:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Have pickle make the call when it loads it."""
        return self.function, self.arguments


def packed_call(function: Callable[..., Any], *arguments: Any) -> bytes:  # noqa: ANN401  # any picklable value
    """Pickle a call in such a way that it is made when it is unpickled."""
    packed: bytes = cloudpickle.dumps(_Call(function, arguments))
    return packed
