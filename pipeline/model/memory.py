"""Repeat work with less memory when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

from pipeline.errors import OutOfMemory

T = TypeVar("T")

ALLOCATOR = "can't allocate memory"  #: in the message of torch's allocator for the CPU


def ran_out(fault: Exception) -> bool:
    """Say whether a fault is lack of memory, of the host or of a GPU."""
    return isinstance(fault, MemoryError | torch.OutOfMemoryError) or (
        isinstance(fault, RuntimeError) and ALLOCATOR in str(fault)
    )


def in_batches(items: range, count: int, work: Callable[[slice], None]) -> None:
    """Work through items in batches; half as many at a time whenever memory runs out.

    Parameters
    ----------
    count
        Items at a time to begin with.

    Raises
    ------
    Exception
        What `work` raises, if it is another fault or if one item is too many.
    """
    at, count = items.start, min(count, len(items))
    while at < items.stop:
        if _fits(work, slice(at, min(at + count, items.stop)), last=count == 1):
            at += count
        else:
            count //= 2


def first_that_fits(ways: Iterable[Callable[[], T]]) -> T:
    """Go each way until memory suffices for one.

    Raises
    ------
    OutOfMemory
        If it suffices for none.
    """
    faults = []
    for way in ways:
        try:
            return way()
        except Exception as fault:
            if not ran_out(fault):
                raise
            faults.append(type(fault).__name__)
        torch.cuda.empty_cache()
    raise OutOfMemory(f"{len(faults)} ways with less and less of it: {', '.join(faults)}")


def _fits(work: Callable[[slice], None], batch: slice, *, last: bool) -> bool:
    try:
        work(batch)
    except Exception as fault:
        if last or not ran_out(fault):
            raise
    else:
        return True
    torch.cuda.empty_cache()  # not before here: the fault holds on to what it was raised over
    return False
