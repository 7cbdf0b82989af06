"""Share work between two threads, each with its half of torch's own.

Threads that share each small step of a network wait for each other at its end. Two that each have
a batch of their own do not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from pipeline.side_by_side import both


def in_halves(total: int, work: Callable[[range], None]) -> None:
    """Do both halves of the work at one time; all of it at once where torch has one thread.

    Parameters
    ----------
    total
        Items.
    work
        Takes those of a half; in inference mode, as a further thread does not inherit it.
    """
    threads = torch.get_num_threads()
    if threads < 2:
        _inferring(work, range(total))
        return
    middle = total // 2
    halves = (range(middle), range(middle, total))
    try:
        both(*(partial(_with_threads, threads // 2, work, half) for half in halves))
    finally:
        torch.set_num_threads(threads)


def _with_threads(count: int, work: Callable[[range], None], half: range) -> None:
    torch.set_num_threads(count)  # of the thread that calls it
    _inferring(work, half)


def _inferring(work: Callable[[range], None], items: range) -> None:
    with torch.inference_mode():
        work(items)
