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
        self._before: dict[OpenSeries, float] = {}
        self._looked_at = 0.0

    def look(self, current: Sequence[OpenSeries], time_of_day: datetime) -> dict[OpenSeries, float]:
        """Give the seconds for which each open series has not changed; new ones begin now."""
        now = self._looked_at = self._steady()
        self._since = {series: self._since.get(series, now) for series in current}
        self._before = {
            series: self._before.get(series, _age(series, time_of_day)) for series in current
        }
        return {series: now - since for series, since in self._since.items()}

    def waited_seconds(self, series: OpenSeries) -> float:
        """Give the time from the last instance of an open series to the latest look.

        By the time of day as far as it was quiet before the first look, as when the node was away;
        by the monotonic clock since then, for the time of day may be set.
        """
        return self._before[series] + self._looked_at - self._since[series]


def _age(series: OpenSeries, time_of_day: datetime) -> float:
    return max(0.0, (time_of_day - series.last_at).total_seconds())
