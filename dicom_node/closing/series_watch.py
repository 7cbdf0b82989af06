"""Measure for how long no instance of an open series has come, whatever is done to the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from storage.series.lifecycle import OpenSeries


def quiet_seconds(series: OpenSeries, now: datetime, watched_seconds: float) -> float:
    """Tell for how long no instance of a series has come, by both clocks.

    Parameters
    ----------
    now
        Time of day: it may be set, and then says nothing of the time that has passed.
    watched_seconds
        Time for which this process has seen the series as it is, by the monotonic clock.

    Notes
    -----
    A last instance that lies in the future counts as well: the clock was put back, and the series
    must not wait for it to catch up.
    """
    by_time_of_day = abs((now - series.last_at).total_seconds())
    return min(by_time_of_day, watched_seconds)


class SeriesWatch:
    """Measures how long each open series has been as it is, since the node runs.

    Parameters
    ----------
    steady
        The monotonic clock, seconds.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self._steady = steady
        self._since: dict[OpenSeries, float] = {}

    def look(self, current: Sequence[OpenSeries]) -> dict[OpenSeries, float]:
        """Give the seconds for which each open series has not changed; new ones begin now."""
        now = self._steady()
        self._since = {series: self._since.get(series, now) for series in current}
        return {series: now - since for series, since in self._since.items()}
