"""Measure how long each step of an analysis takes, and tell of the stages."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Gets the name of a stage, and which share of it is done."""


class Stopwatch:
    """Seconds between one lap and the next, and whom to tell of the stages."""

    def __init__(self, progress: Progress = lambda stage, share: None) -> None:
        self.progress = progress
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Add the time since the last lap to that of a name."""
        now = time.perf_counter()
        self.add(name, now - self._last)
        self._last = now

    def add(self, name: str, seconds: float) -> None:
        """Add time that was spent on a name elsewhere."""
        self.laps[name] = round(self.laps.get(name, 0.0) + seconds, 3)

    def skip(self) -> None:
        """Leave out the time since the last lap: it was measured elsewhere."""
        self._last = time.perf_counter()
