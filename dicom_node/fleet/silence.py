"""Measure for how long another process has not shown that it lives."""

from __future__ import annotations

import time
from collections.abc import Callable

BEAT_SECONDS = 1.0  #: between two signs of life
LOOK_SECONDS = 0.5  #: between two looks at those of others
DOUBT_SECONDS = 2.0  #: whoever is silent for so long may have ended
GAP_SECONDS = 1.0  #: counted at most between two looks: one that hung saw nobody
SILENT_SECONDS = 3.5  #: and for so long, counts as ended: with a look, within 5 s of its end


class Silence:
    """Tells for how long what shows life has been the same, on our own steady clock.

    Only looks count: while we cannot look, or a look hangs, nobody is silent.

    Parameters
    ----------
    steady
        Monotonic clock, seconds.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._known: dict[str, tuple[object, float]] = {}
        self._looked_at = steady()

    def look(self, seen: dict[str, object]) -> dict[str, float]:
        """Give the seconds for which each has been as it is; forget all others."""
        now = self._steady()
        gap, self._looked_at = min(now - self._looked_at, GAP_SECONDS), now
        self._known = {
            one: (what, known[1] + gap)
            if (known := self._known.get(one)) is not None and known[0] == what
            else (what, 0.0)
            for one, what in seen.items()
        }
        return {one: seconds for one, (_, seconds) in self._known.items()}

    def forget(self) -> None:
        """Begin anew, as after a time in which nobody could show anything."""
        self._known.clear()
