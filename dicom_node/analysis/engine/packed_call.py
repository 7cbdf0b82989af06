"""Carry a call to a worker, and what it comes to back, as bytes that nothing on the way reads.

Dask unpickles a task in its scheduler, and in a worker while it reads from its connection: whoever
lacks what the task needs would break that connection. Bytes get through; what is missing where
they are unpacked is an ordinary error of the task, which says what is missing.
"""

from __future__ import annotations

import hashlib
import pickle  # between node and worker, under TLS: see SECURITY.md
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cloudpickle

from dicom_node.errors import AlteredResult

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


Sealed = tuple[str, bytes]
"""SHA-256 of a pickled value, and it."""


def sealed(value: object) -> Sealed:
    """Pickle what a call came to, with its digest."""
    packed = pickle.dumps(value)
    return hashlib.sha256(packed).hexdigest(), packed


def opened(value: Sealed) -> Any:  # noqa: ANN401  # any value
    """Unpickle what a call came to.

    Raises
    ------
    AlteredResult
        If it is not what the worker made.
    """
    digest, packed = value
    got = hashlib.sha256(packed).hexdigest()
    if got != digest:
        raise AlteredResult(f"a result of SHA-256 {digest} expected from the worker, got {got}")
    return pickle.loads(packed)  # noqa: S301  # from our worker
