"""Collect garbage seldom in a process that analyses.

A series makes some hundred thousand objects and leaves few circles of them, while Python, as it
comes, looks for circles after every 700 objects, now and then among all that are there.
"""

from __future__ import annotations

import gc

OBJECTS = 100_000  #: made and not yet freed before the young are looked through
YOUNG, OLD = 50, 100  #: looks before older ones are looked through as well


def collect_seldom() -> None:
    """Look for circles of objects seldom, from now on in this process."""
    gc.set_threshold(OBJECTS, YOUNG, OLD)
