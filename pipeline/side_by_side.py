"""Do two things at a time: numpy, SciPy and SimpleITK leave the interpreter free while they work.

More than two are not worth it: what the interpreter itself does takes turns.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

First = TypeVar("First")
Second = TypeVar("Second")


def both(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Call two functions, neither of which needs the other, at one time; what both return.

    If one raises, that is raised when both have ended; of two that of the first.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="beside") as pool:
        later = pool.submit(second)
        return first(), later.result()
