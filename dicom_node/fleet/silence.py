"""Measure for how long another process has not shown that it lives."""

from __future__ import annotations

import time
from collections.abc import Callable

BEAT_SECONDS = 1.0  #: between two signs of life
LOOK_SECONDS = 0.5  #: between two looks at those of others
DOUBT_SECONDS = 2.0  #: whoever is silent for so long may have ended
SILENT_SECONDS = 3.5  #: and for so long, counts as ended: with a look, within 5 s of its end


class Silence:
    """Tells for how long what shows life has been the same, on our own steady clock.

    Only looks count: while we cannot look, nobody is silent.

    Parameters
    ----------
    steady
        Monotonic clock, seconds.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._since: dict[str, tuple[object, float]] = {}

    def look(self, seen: dict[str, object]) -> dict[str, float]:
        """Give the seconds for which each has been as it is; forget all others."""
        now = self._steady()
        self._since = {
            one: known
            if (known := self._since.get(one)) is not None and known[0] == what
            else (what, now)
            for one, what in seen.items()
        }
        return {one: now - since for one, (_, since) in self._since.items()}

    def forget(self) -> None:
        """Begin anew, as after a time in which nobody could show anything."""
        self._since.clear()
